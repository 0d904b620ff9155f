"""Detection: one thing that was found in one frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Scores:
    """cosine in [-1, 1]; relevancy against neutral things and calibrated probability in [0, 1]."""

    cosine: float
    relevancy: float
    probability: float


@dataclass(frozen=True)
class Detection:
    """One found thing.

    box: (x_min, y_min, x_max, y_max) in source pixels, edges of the mask's outermost pixels
    (so width = x_max - x_min counts pixels). mask: (box height, box width) bool, of the box.
    embedding: (c,) float32 unit vector of the region in ``space``.
    """

    label: str
    scores: Scores
    box: tuple[int, int, int, int]
    mask: NDArray[np.bool_]
    embedding: NDArray[np.float32] | None = None
    space: str = ""
    track_id: str = ""
