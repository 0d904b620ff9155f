"""PipelineSettings: how frames are processed. Imports no model library."""

from __future__ import annotations

import math
from dataclasses import dataclass

AUTO_TILE = -1
AS_LONG_AS_ENCODING = -1.0


@dataclass(frozen=True)
class PipelineSettings:
    """How frames are processed, apart from the models and the vocabulary.

    Attributes:
        short_side: Short side of the network input in pixels.
        max_tokens: Largest number of patches per image.
        mask_threshold: Lowest probability of a pixel in a mask; None takes the model's own.
        detection_threshold: Lowest probability of a reported detection; None takes the model's own.
        max_detections: Largest number of detections per frame.
        refine: Let masks follow the edges of the image.
        tile: Side in pixels of the tiles in which a larger network input is encoded; 0 encodes it as a whole.
            AUTO_TILE takes tiles of the training size for image-text models with learned positions, if the
            input is more than 1.5 times as large, and otherwise none.
        tile_overlap: Share of a tile that its neighbour covers too, 0 to 0.5.
        track: Give detections ids that last from frame to frame.
        track_seconds: Seconds that a track out of sight keeps its id.
        split_instances: Split regions that hold several instances of a class.
        max_refined_masks: Largest number of detections per frame, best first, whose masks a SAM model
            refines, if one is loaded.
        max_rescored: Largest number of enlarged crops per frame for rescoring, if the language model has a
            head for it; 0 turns rescoring off. Crops that look the same as in an earlier frame of their
            stream do not count.
        rescoring_ms: Most milliseconds per frame for encoding crops; inf sets no limit, 0 encodes none.
            AS_LONG_AS_ENCODING allows as long as the encoders usually take for a frame.
        overlay_scores: Write probabilities behind the labels of the overlay.
    """

    short_side: int = 378
    max_tokens: int = 2048
    mask_threshold: float | None = None
    detection_threshold: float | None = None
    max_detections: int = 100
    refine: bool = True
    tile: int = AUTO_TILE
    tile_overlap: float = 0.25
    track: bool = True
    track_seconds: float = 2.0
    split_instances: bool = True
    max_refined_masks: int = 20
    max_rescored: int = 32
    rescoring_ms: float = math.inf
    overlay_scores: bool = False
