"""Which cells of a grid are the thing that was pointed at, and what surrounds it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import FloatArray
from perception_contrast.core.errors import QueryError
from perception_contrast.core.feature_grid import FeatureGrid
from perception_contrast.core.vocabulary import Exemplar

CONTEXT_VECTORS = 12
PART_VECTORS = 4
BACKDROP = 0.92  # of the rim's own likeness; a cell as like the rim as that is backdrop
LEAST_PART = 0.12  # of the thing's cells; less is an odd cell, not a part


def exemplar_of(
    grid: FeatureGrid,
    box: tuple[float, float, float, float] | None,
    point: tuple[float, float] | None,
    alike: float,
) -> Exemplar:
    """The vector of a box (x0, y0, x1, y1), of the thing under a point (x, y), or of the whole image.

    Pixels of the source. alike: cosine, of vectors less the image's mean, from which neighbours of
    a point belong to its thing.
    Raises QueryError for a box or point that is not in the image.
    """
    unit = grid.unit().values.astype(np.float32)
    # All vectors of an image share a large part; what tells things apart is the rest.
    centre = unit.mean(axis=(0, 1))
    rest = centred(unit, centre)
    if point is not None:
        member = spared = _around_point(grid, rest, point, alike)
    elif box is not None:
        spared = _inside_box(grid, unit, box)
        member = _without_backdrop(unit, spared)
    else:
        member = spared = np.ones(unit.shape[:2], bool)
    vector = unit[member].mean(axis=0)
    vector /= max(float(np.linalg.norm(vector)), 1e-12)
    parts = _spread(rest[member], PART_VECTORS, LEAST_PART)
    return Exemplar(vector.astype(np.float32), grid.space, centre, parts, _context(rest, spared))


def centred(unit: FloatArray, centre: FloatArray) -> FloatArray:
    """Unit vectors (..., c) less a centre (c,), unit again."""
    rest = unit - centre
    return np.asarray(rest / np.maximum(np.linalg.norm(rest, axis=-1, keepdims=True), 1e-6), np.float32)


def _cell_of(grid: FeatureGrid, x: float, y: float) -> tuple[int, int]:
    column, row = grid.grid_to_image.to_grid(x, y)
    rows, columns, _ = grid.shape
    return int(np.clip(round(row), 0, rows - 1)), int(np.clip(round(column), 0, columns - 1))


def _around_point(
    grid: FeatureGrid, unit: FloatArray, point: tuple[float, float], alike: float
) -> NDArray[np.bool_]:
    height, width = grid.image_size
    x, y = point
    if not (np.isfinite(x) and np.isfinite(y) and -0.5 <= x < width - 0.5 and -0.5 <= y < height - 0.5):
        raise QueryError(f"point ({x:g}, {y:g}) is outside the {width}x{height} image")
    row, column = _cell_of(grid, x, y)
    near = (unit @ unit[row, column] >= alike).astype(np.uint8)
    near[row, column] = 1
    _, labels = cv2.connectedComponents(near, connectivity=4)
    return np.asarray(labels == labels[row, column])


def _inside_box(
    grid: FeatureGrid, unit: FloatArray, box: tuple[float, float, float, float]
) -> NDArray[np.bool_]:
    height, width = grid.image_size
    x0, y0, x1, y1 = box
    if not all(np.isfinite(v) for v in box) or x1 <= x0 or y1 <= y0:
        raise QueryError(f"box ({x0:g}, {y0:g}, {x1:g}, {y1:g}) has no area; give x0 < x1 and y0 < y1")
    if x0 >= width or y0 >= height or x1 <= 0 or y1 <= 0:
        raise QueryError(f"box ({x0:g}, {y0:g}, {x1:g}, {y1:g}) is outside the {width}x{height} image")
    rows, columns, _ = grid.shape
    to_image = grid.grid_to_image
    # A box goes along the edges of pixels, half a pixel before their centres.
    xs = to_image.sx * np.arange(columns) + to_image.ox + 0.5
    ys = to_image.sy * np.arange(rows) + to_image.oy + 0.5
    inside = ((ys >= y0) & (ys < y1))[:, None] & ((xs >= x0) & (xs < x1))[None, :]
    if not inside.any():
        inside[_cell_of(grid, (x0 + x1 - 1) / 2, (y0 + y1 - 1) / 2)] = True
    return np.asarray(inside)


def _without_backdrop(unit: FloatArray, inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A box's cells less those that look like the rim around it: corners show what is behind the thing."""
    ring = cv2.dilate(inside.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool) & ~inside
    if np.count_nonzero(ring) < 2:
        return inside
    rim = unit[ring]
    among = rim @ rim.T - 2.0 * np.eye(len(rim), dtype=np.float32)
    usual = float(np.median(among.max(axis=1)))
    own = inside & ((unit @ rim.T).max(axis=-1) < BACKDROP * usual)
    middle = _middle(inside)
    # What does not touch the middle is a neighbour that reaches into the box.
    _, labels = cv2.connectedComponents(own.astype(np.uint8), connectivity=8)
    touching = np.unique(labels[own & middle])
    kept = own & np.isin(labels, touching)
    return np.asarray(kept if np.count_nonzero(kept) >= 0.1 * np.count_nonzero(inside) else middle)


def _middle(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The inner half of a box's cells."""
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    middle = np.zeros_like(inside)
    r, c = len(rows) // 4, len(columns) // 4
    middle[rows[r] : rows[-1 - r] + 1, columns[c] : columns[-1 - c] + 1] = True
    return middle


def _context(unit: FloatArray, spared: NDArray[np.bool_]) -> FloatArray | None:
    """Unit vectors spread over what is neither the thing nor in its box, or None."""
    # A cell beside the thing shows a little of it.
    outside = unit[~cv2.dilate(spared.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)]
    return _spread(outside, CONTEXT_VECTORS, 0.0) if len(outside) else None


def _spread(vectors: FloatArray, count: int, least: float) -> FloatArray:
    """Unit means of groups of ``vectors`` (n, c): farthest-point centres, each with what is nearest to it.

    Groups with less than ``least`` of all vectors are left out, but for the largest.
    """
    mean = vectors.mean(axis=0)
    chosen = [int(np.argmax(vectors @ mean))]
    nearest = vectors @ vectors[chosen[0]]
    while len(chosen) < min(count, len(vectors)):
        chosen.append(int(np.argmin(nearest)))
        nearest = np.maximum(nearest, vectors @ vectors[chosen[-1]])
    centres = vectors[chosen]
    # Two rounds, so that each centre speaks for the vectors around it and one odd vector does not.
    for _ in range(2):
        owner = np.argmax(vectors @ centres.T, axis=1)
        sizes = np.bincount(owner, minlength=len(centres))
        enough = (sizes > 0) & (sizes >= least * len(vectors)) | (sizes == sizes.max())
        kept = np.flatnonzero(enough)
        centres = np.stack([vectors[owner == k].mean(axis=0) for k in kept])
        centres /= np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-12)
    return np.asarray(centres, np.float32)
