"""Which cells of a grid are the thing that was pointed at, and what surrounds it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ..encoders.grid import FeatureGrid
from ..errors import QueryError
from ..language.vocabulary import Exemplar

Array = NDArray[np.float32]
CONTEXT_VECTORS = 12


def exemplar_of(
    grid: FeatureGrid,
    box: tuple[float, float, float, float] | None,
    point: tuple[float, float] | None,
    alike: float,
) -> Exemplar:
    """The vector of a box (x0, y0, x1, y1), of the thing under a point (x, y), or of the whole picture.

    Pixels of the source. alike: cosine from which neighbours of a point belong to its thing.
    Raises QueryError for a box or point that is not in the picture.
    """
    unit = grid.unit().values.astype(np.float32)
    if point is not None:
        member = _around_point(grid, unit, point, alike)
    elif box is not None:
        member = _inside_box(grid, unit, box)
    else:
        member = np.ones(unit.shape[:2], bool)
    vector = unit[member].mean(axis=0)
    vector /= max(float(np.linalg.norm(vector)), 1e-12)
    return Exemplar(vector.astype(np.float32), grid.space, _context(unit, member))


def _cell_of(grid: FeatureGrid, x: float, y: float) -> tuple[int, int]:
    column, row = grid.grid_to_image.to_grid(x, y)
    rows, columns, _ = grid.shape
    return int(np.clip(round(row), 0, rows - 1)), int(np.clip(round(column), 0, columns - 1))


def _around_point(
    grid: FeatureGrid, unit: Array, point: tuple[float, float], alike: float
) -> NDArray[np.bool_]:
    height, width = grid.image_size
    x, y = point
    if not (np.isfinite(x) and np.isfinite(y) and -0.5 <= x < width - 0.5 and -0.5 <= y < height - 0.5):
        raise QueryError(f"point ({x:g}, {y:g}) is outside the {width}x{height} picture")
    row, column = _cell_of(grid, x, y)
    near = (unit @ unit[row, column] >= alike).astype(np.uint8)
    near[row, column] = 1
    _, labels = cv2.connectedComponents(near, connectivity=4)
    return np.asarray(labels == labels[row, column])


def _inside_box(grid: FeatureGrid, unit: Array, box: tuple[float, float, float, float]) -> NDArray[np.bool_]:
    height, width = grid.image_size
    x0, y0, x1, y1 = box
    if not all(np.isfinite(v) for v in box) or x1 <= x0 or y1 <= y0:
        raise QueryError(f"box ({x0:g}, {y0:g}, {x1:g}, {y1:g}) has no area; give x0 < x1 and y0 < y1")
    if x0 >= width or y0 >= height or x1 <= 0 or y1 <= 0:
        raise QueryError(f"box ({x0:g}, {y0:g}, {x1:g}, {y1:g}) is outside the {width}x{height} picture")
    rows, columns, _ = grid.shape
    to_image = grid.grid_to_image
    xs = to_image.sx * np.arange(columns) + to_image.ox
    ys = to_image.sy * np.arange(rows) + to_image.oy
    inside = ((ys >= y0) & (ys < y1))[:, None] & ((xs >= x0) & (xs < x1))[None, :]
    if not inside.any():
        inside[_cell_of(grid, (x0 + x1) / 2, (y0 + y1) / 2)] = True
    middle = _middle(inside)
    ring = cv2.dilate(inside.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool) & ~inside
    if not ring.any():
        return inside
    # The corners of a box show what is behind the thing: keep what is nearer to the middle than to the rim.
    thing, behind = unit[middle].mean(axis=0), unit[ring]
    nearer = unit @ thing / max(float(np.linalg.norm(thing)), 1e-12) > np.max(unit @ behind.T, axis=-1) * 0.9
    return np.asarray(inside & (nearer | middle))


def _middle(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The inner half of a box's cells."""
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    middle = np.zeros_like(inside)
    r, c = len(rows) // 4, len(columns) // 4
    middle[rows[r] : rows[-1 - r] + 1, columns[c] : columns[-1 - c] + 1] = True
    return middle


def _context(unit: Array, member: NDArray[np.bool_]) -> Array | None:
    """Unit vectors spread over what is not the thing (farthest-point choice), or None."""
    outside = unit[~cv2.dilate(member.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)]
    if not len(outside):
        return None
    chosen = [int(np.argmin(outside @ unit[member].mean(axis=0)))]
    nearest = outside @ outside[chosen[0]]
    while len(chosen) < min(CONTEXT_VECTORS, len(outside)):
        chosen.append(int(np.argmin(nearest)))
        nearest = np.maximum(nearest, outside @ outside[chosen[-1]])
    # Each choice speaks for the cells around it, so that one odd cell does not.
    owner = np.argmax(outside @ outside[chosen].T, axis=1)
    centres = np.stack([outside[owner == k].mean(axis=0) for k in range(len(chosen)) if (owner == k).any()])
    return np.asarray(centres / np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-12), np.float32)
