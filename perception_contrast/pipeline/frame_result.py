"""FrameResult: what was computed for a frame. Imports no model library."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.detection import Detection
from perception_contrast.core.feature_grid import FeatureGrid
from perception_contrast.core.frame import Frame
from perception_contrast.core.vocabulary import Vocabulary
from perception_contrast.encoders.familiarity.stream_monitor import StreamFamiliarity
from perception_contrast.segmentation.regions.region_features import RegionFeatures
from perception_contrast.segmentation.rescoring.rescoring_limits import RescoringCounts


@dataclass(frozen=True)
class FrameResult:
    """What was computed for a frame; results that were not requested are None.

    Attributes:
        frame: The frame itself.
        vocabulary: The vocabulary that the frame was searched for.
        features: (h, w, c) grid of the spatial model.
        semantic_features: (h, w, c) grid that is comparable with texts; None without a language model.
        embedding: (c,) float32 unit vector of the whole image.
        embedding_model: Model of ``embedding``.
        embedding_space: Space of ``embedding``, ``<model id>@<hash>``.
        masks: (H, W) uint16, ids of ``vocabulary.ids``; 65535 is unlabelled.
        detections: Best first.
        overlay: (H, W, 3) uint8 RGB.
        pca: (H', W', 3) uint8 RGB, at most 640 wide.
        instances: (H, W) uint16, ``instance_value`` of each pixel's detection; 65535 for none.
        region_features: The detections with their vectors.
        familiarity: How like the language model's training images the frame's stream is; None where it was
            not searched, or where these are not known.
        timings: Milliseconds by stage.
        rescoring: How many crops were encoded, remembered from earlier frames of the stream, and left out
            for want of views or time; None where nothing was rescored.
    """

    frame: Frame
    vocabulary: Vocabulary
    features: FeatureGrid | None = None
    semantic_features: FeatureGrid | None = None
    embedding: NDArray[np.float32] | None = None
    embedding_model: str = ""
    embedding_space: str = ""
    masks: NDArray[np.uint16] | None = None
    detections: tuple[Detection, ...] | None = None
    overlay: NDArray[np.uint8] | None = None
    pca: NDArray[np.uint8] | None = None
    instances: NDArray[np.uint16] | None = None
    region_features: RegionFeatures | None = None
    familiarity: StreamFamiliarity | None = None
    timings: dict[str, float] = field(default_factory=dict)
    rescoring: RescoringCounts | None = None
