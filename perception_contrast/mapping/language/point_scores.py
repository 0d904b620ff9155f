"""What voxels say of points that lie in them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import FloatArray
from perception_contrast.mapping.language.voxel_keys import voxel_keys
from perception_contrast.mapping.language.voxel_store import VoxelStore


def scores_of_points(
    voxels: VoxelStore, points: FloatArray, rows: NDArray[np.int64], scores: FloatArray
) -> FloatArray:
    """(n,) float32 the score of the voxel that each point lies in; 0 where there is none.

    Args:
        voxels: The language layer, which does not change meanwhile.
        points: (n, 3) metres in the map.
        rows: (m,) rows of the voxels that have scores.
        scores: (m,) float32 of those.
    """
    values = np.zeros(len(points), np.float32)
    if not len(points) or not len(rows):
        return values
    of_row = np.zeros(int(rows.max()) + 1, np.float32)
    of_row[rows] = scores
    found = voxels.rows(voxel_keys(points, voxels.size))
    inside = (found >= 0) & (found < len(of_row))
    values[inside] = of_row[found[inside]]
    return values
