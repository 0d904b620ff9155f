"""Detection: one thing that was detected in one frame."""

from __future__ import annotations

from dataclasses import dataclass

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
        track_id: The same for one thing from frame to frame; "" where nothing is tracked.
    """

    label: str
    scores: Scores
    box: Box
    mask: BoolMask
    embedding: FloatArray | None = None
    space: str = ""
    track_id: str = ""
