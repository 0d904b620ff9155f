"""Images for people of one frame's results: the overlay of detections and the features as colours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.feature_grid import FeatureGrid
from perception_contrast.core.frame import Frame
from perception_contrast.core.vocabulary import Vocabulary
from perception_contrast.pipeline.output_request import OutputRequest
from perception_contrast.pipeline.pipeline_settings import PipelineSettings
from perception_contrast.segmentation.search_result import SearchResult
from perception_contrast.visualization.overlay import overlay
from perception_contrast.visualization.pca import PcaRenderer


@dataclass(frozen=True)
class FrameDrawings:
    """What was drawn of a frame.

    Attributes:
        overlay: (H, W, 3) uint8 RGB; None where it was not requested.
        pca: (H', W', 3) uint8 RGB, at most 640 wide; None where it was not requested.
    """

    overlay: NDArray[np.uint8] | None = None
    pca: NDArray[np.uint8] | None = None


class FrameDrawing:
    """Draws what a request asks for. The colours of features stay steady from frame to frame."""

    def __init__(self) -> None:
        self._colours = PcaRenderer()

    def draw(
        self,
        request: OutputRequest,
        frame: Frame,
        found: SearchResult | None,
        features: FeatureGrid | None,
        vocabulary: Vocabulary,
        settings: PipelineSettings,
        notice: str = "",
    ) -> FrameDrawings:
        """Draws the images of one frame.

        Args:
            request: Of the frame.
            frame: The frame.
            found: Its detections, if it was searched.
            features: Its (h, w, c) grid of the spatial model, if there is one.
            vocabulary: That was searched for; its ids choose the colours.
            settings: Whether probabilities are written.
            notice: Written along the overlay's lower border.

        Returns:
            The images that are requested and whose ingredients are there.
        """
        drawn = colours = None
        if request.overlay and found is not None:
            scores = settings.overlay_scores
            drawn = overlay(frame.image, found.detections, vocabulary.ids, scores=scores, notice=notice)
        if request.pca and features is not None:
            colours = self._colours(features)
        return FrameDrawings(drawn, colours)
