"""A grid of how well each place fits a query."""

from __future__ import annotations

import numpy as np

from perception_contrast.core.arrays import Float64Array, FloatArray
from perception_contrast.mapping.grid.grid_snapshot import UNKNOWN, GridCells, GridSnapshot


def semantic_cells(
    grid: GridSnapshot,
    positions: FloatArray | Float64Array,
    scores: FloatArray,
    span: tuple[float, float] = (0.0, 1.0),
) -> GridCells:
    """The best score over each cell of a grid.

    Args:
        grid: Whose cells these are; positions beside it are left out.
        positions: (n, 3) metres in the map, of voxels or objects.
        scores: (n,) how well each fits.
        span: Scores that become 0 and 100; beyond, they stay there.

    Returns:
        (rows, columns) int8 in 0..100, -1 where nothing has a score.
    """
    cells = np.full(grid.cells.shape, UNKNOWN, np.int8)
    at = grid.indices(np.asarray(positions, float)[:, :2])
    inside = grid.inside(at) & np.isfinite(scores)
    share = (np.asarray(scores, float)[inside] - span[0]) / (span[1] - span[0])
    values = np.rint(100.0 * np.clip(share, 0.0, 1.0)).astype(np.int8)
    rows, columns = at[inside].T
    # Of the scores of one cell the last assignment holds: let the best come last.
    order = np.argsort(values, kind="stable")
    cells[rows[order], columns[order]] = values[order]
    return cells
