"""How far places are from what a robot must not touch, and which of them it can reach."""

from __future__ import annotations

import cv2
import numpy as np

from perception_contrast.core.arrays import BoolMask, FloatArray
from perception_contrast.mapping.grid.grid_snapshot import FREE, OCCUPIED, GridSnapshot

_WAY_OUT = 1.5
"""Metres that a robot may go over ground without known room: its cameras do not see what lies at its feet."""


def known_free(grid: GridSnapshot) -> BoolMask:
    """(rows, columns) bool: free cells, and single unseen ones among them, which rays have missed."""
    free = (grid.cells == FREE).astype(np.uint8)
    if not free.size:
        return np.zeros(free.shape, bool)
    closed = cv2.morphologyEx(
        free, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT
    )
    return np.asarray((closed > 0) & (grid.cells != OCCUPIED))


def clearance(grid: GridSnapshot) -> FloatArray:
    """Metres from each cell's centre to the nearest ground that is occupied or unknown.

    Returns:
        (rows, columns) float32; 0 where the cell itself is not free.
    """
    free = np.pad(known_free(grid).astype(np.uint8), 1)
    if not grid.cells.size:
        return np.zeros(grid.cells.shape, np.float32)
    distance = cv2.distanceTransform(free, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    # To the edge of the nearest cell, not to its centre.
    return np.asarray(np.maximum(distance - 0.5, 0.0) * np.float32(grid.resolution))


def reachable(grid: GridSnapshot, room: FloatArray, robot: tuple[float, float], radius: float) -> BoolMask:
    """Where a robot can go.

    A robot may first go a little way over ground that is not occupied, to where it has room: its cameras see
    the floor from some distance on, and it may stand near to something.

    Args:
        grid: The grid.
        room: Its ``clearance``.
        robot: (x, y) of the robot in the map, metres.
        radius: Of the robot, metres.

    Returns:
        (rows, columns) bool: cells with room for the robot that join with its own; none where it has no way
        out.
    """
    wide = room >= radius
    start = _start(grid, wide, robot)
    if start is None:
        return np.zeros(grid.cells.shape, bool)
    _, regions = cv2.connectedComponents(wide.astype(np.uint8), connectivity=4)
    return np.asarray(regions == regions[start])


def _start(grid: GridSnapshot, wide: BoolMask, robot: tuple[float, float]) -> tuple[int, int] | None:
    """The nearest cell with room that ground which is not occupied joins with the robot's place."""
    at = grid.indices(np.array([robot]))
    if not grid.inside(at)[0]:
        return None
    row, column = (int(one) for one in at[0])
    if wide[row, column]:
        return row, column
    reach = round(_WAY_OUT / grid.resolution)
    rows = slice(max(0, row - reach), row + reach + 1)
    columns = slice(max(0, column - reach), column + reach + 1)
    here = (row - rows.start, column - columns.start)
    open_ground = (grid.cells[rows, columns] != OCCUPIED).astype(np.uint8)
    _, regions = cv2.connectedComponents(open_ground, connectivity=4)
    if not regions[here]:
        return None
    joined = np.argwhere(wide[rows, columns] & (regions == regions[here]))
    if not len(joined):
        return None
    best = joined[np.argmin(np.hypot(*(joined - here).T))]
    return int(best[0]) + rows.start, int(best[1]) + columns.start
