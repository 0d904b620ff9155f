"""Frames unlike the others: by the distance to their k-th neighbour, and by the local outlier factor.

The local outlier factor (Breunig et al., LOF: Identifying Density-Based Local Outliers, 2000) compares the
density around a frame with that around its neighbours: about 1 within a cluster of any density, more outside.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perception_contrast_training.vectors.neighbours import Floats, distance

_TINY = 1e-10  # added to mean distances, so that copies of one frame have a density


@dataclass(frozen=True)
class Outliers:
    """knn: (n,) distance of each vector to its k-th neighbour, 0 to 2. lof: (n,) local outlier factor."""

    knn: Floats
    lof: NDArray[np.float64]


def outliers(cosines: Floats, numbers: NDArray[np.int64]) -> Outliers:
    """Of what ``nearest`` gave: cosines (n, k) and numbers (n, k) of the neighbours."""
    if not cosines.shape[1]:
        nothing = np.zeros(len(cosines))
        return Outliers(nothing.astype(np.float32), nothing + 1.0)
    distances = distance(cosines).astype(np.float64)
    reach = np.maximum(distances, distances[numbers, -1])
    density = 1.0 / (reach.mean(axis=1) + _TINY)
    return Outliers(distances[:, -1].astype(np.float32), density[numbers].mean(axis=1) / density)
