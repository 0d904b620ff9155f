"""How well some frames stand for the rest: how far every frame is from the nearest of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from perception_contrast_training.vectors.neighbours import Floats, distance, nearest_of
from perception_contrast_training.vectors.selection import Numbers, k_centre

WITHIN = 0.9
"""Cosine from which a frame usually counts as covered by another one."""


@dataclass(frozen=True)
class Coverage:
    """How some frames cover the others.

    Attributes:
        cosines: (n,) of every frame with the nearest of them; 1 for themselves.
        radius: Distance of the worst covered frame, the k-centre radius, 0 to 2.
        mean: Distance of the frames that are not among them, on average.
        share: Of those with a cosine of at least ``within``.
        within: That cosine.
    """

    cosines: Floats
    radius: float
    mean: float
    share: float
    within: float


def coverage(vectors: Any, known: Numbers, within: float = WITHIN) -> Coverage:
    """How the frames numbered ``known`` cover all of the unit vectors (n, c)."""
    cosines = nearest_of(vectors, known)
    cosines[known] = 1.0
    rest = np.ones(len(vectors), bool)
    rest[known] = False
    far = distance(cosines)
    if not rest.any():
        return Coverage(cosines, 0.0, 0.0, 1.0, within)
    return Coverage(
        cosines, float(far.max()), float(far[rest].mean()), float((cosines[rest] >= within).mean()), within
    )


def radii(vectors: Any, most: int) -> Floats:
    """(m,): the radius within which 1, 2, ... frames of a greedy k-centre cover all of them."""
    most = min(most, len(vectors))
    none, alike = np.zeros(0, np.int64), np.ones(len(vectors), np.float32)
    # The distance at which a frame is chosen is the radius of those before it.
    scores = k_centre(vectors, min(most + 1, len(vectors)), none, alike).scores[1:]
    return np.append(scores, np.zeros(most - len(scores), np.float32))
