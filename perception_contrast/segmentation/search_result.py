"""Masks and detections of one image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.detection import Detection
from perception_contrast.segmentation.rescoring.rescoring_limits import RescoringCounts


@dataclass(frozen=True)
class SearchResult:
    """What a search found in one image.

    Attributes:
        masks: (H, W) uint16 label image of the source's size, UNLABELLED where nothing was found.
        detections: most probable first.
        rescoring: what became of the enlarged views; None where regions are not rescored.
    """

    masks: NDArray[np.uint16]
    detections: tuple[Detection, ...]
    rescoring: RescoringCounts | None = None
