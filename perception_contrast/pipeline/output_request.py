"""What can be asked of a frame, with which settings, and what comes back. Loads no model library."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.detection import Detection
from perception_contrast.core.feature_grid import FeatureGrid
from perception_contrast.core.frame import Frame
from perception_contrast.core.vocabulary import Vocabulary


@dataclass(frozen=True)
class OutputRequest:
    """What to compute for a frame."""

    features: bool = False
    semantic_features: bool = False
    embedding: bool = False
    masks: bool = False
    detections: bool = False
    overlay: bool = False
    pca: bool = False


@dataclass(frozen=True)
class Settings:
    """short_side: of the network input in pixels. max_tokens: patches per image at most.

    mask_threshold, detection_threshold: probabilities; None takes the model's own. tile: side in pixels
    of the windows that encoders see a larger network input through, 0 for all of it at once;
    tile_overlap: share of a window that the next one sees too, 0 to 0.5. track: give detections ids
    that last; track_seconds: how long a thing out of sight keeps its own. split: part regions of several
    things of a kind into the single ones. refine_masks_most: detections of a frame, best first, that a
    proposer draws anew, where there is one. zoom: enlarged views of regions that are looked at again, at
    most, where the language model can; 0 for none.
    """

    short_side: int = 378
    max_tokens: int = 2048
    mask_threshold: float | None = None
    detection_threshold: float | None = None
    max_detections: int = 100
    refine: bool = True
    tile: int = 0
    tile_overlap: float = 0.25
    track: bool = True
    track_seconds: float = 2.0
    split: bool = True
    refine_masks_most: int = 20
    zoom: int = 32


@dataclass(frozen=True)
class Result:
    """What was asked for; the rest is None.

    masks: (H, W) uint16, ids of ``vocabulary.ids``, 65535 unlabelled. embedding: (c,) float32 unit.
    overlay, pca: (H, W, 3) uint8 RGB. timings: milliseconds by stage.
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
    timings: dict[str, float] = field(default_factory=dict)
