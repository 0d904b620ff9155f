"""Detection: one thing that was detected in one frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perception_contrast.core.arrays import BoolMask, Box, FloatArray


@dataclass(frozen=True)
class Scores:
    """How well a region fits a query.

    Attributes:
        cosine: Similarity to the query, in [-1, 1].
        relevancy: Against neutral phrases, in [0, 1] (Kerr et al., LERF, 2023).
        probability: Calibrated, in [0, 1]. Thresholds are on this one.
    """

    cosine: float
    relevancy: float
    probability: float


@dataclass(frozen=True)
class Detection:
    """One detected thing.

    Attributes:
        label: Of the query that it fits.
        scores: How well it fits.
        box: (x_min, y_min, x_max, y_max) in pixels of the source image, the maxima exclusive.
        mask: (box height, box width) bool, of the box alone.
        embedding: (c,) float32 unit vector of its region.
        space: Identity of the embedding's space.
        track_id: The same for one thing from frame to frame and whatever label names it; "" where nothing is
            tracked.
    """

    label: str
    scores: Scores
    box: Box
    mask: BoolMask
    embedding: FloatArray | None = None
    space: str = ""
    track_id: str = ""


def detection_iou(first: Detection, second: Detection) -> float:
    """IoU of the masks of two detections of one image."""
    x0, y0 = (max(a, b) for a, b in zip(first.box[:2], second.box[:2], strict=True))
    x1, y1 = (min(a, b) for a, b in zip(first.box[2:], second.box[2:], strict=True))
    if x0 >= x1 or y0 >= y1:
        return 0.0
    both = [
        one.mask[y0 - one.box[1] : y1 - one.box[1], x0 - one.box[0] : x1 - one.box[0]]
        for one in (first, second)
    ]
    shared = np.count_nonzero(both[0] & both[1])
    total = np.count_nonzero(first.mask) + np.count_nonzero(second.mask) - shared
    return float(shared / total) if total else 0.0
