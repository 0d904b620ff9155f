"""Pools an exemplar from a feature grid: its mean vector, its parts, its surroundings, what sets it apart."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from perception_contrast.core.arrays import BoolMask, FloatArray
from perception_contrast.core.errors import QueryError
from perception_contrast.core.feature_grid import FeatureGrid
from perception_contrast.core.vocabulary import Exemplar

CONTEXT_VECTORS = 12
PART_VECTORS = 4
BACKGROUND_SHARE = 0.92  # of the rim's median self-similarity; a cell with that cosine is background
SHRINKAGE = 1.0  # of the surroundings' covariance, in its mean variance
MIN_SURROUNDINGS = 32  # cells that a covariance is taken of
MIN_PART = 0.12  # of the object's cells; smaller groups are outliers, not parts


def exemplar_of(
    grid: FeatureGrid,
    box: tuple[float, float, float, float] | None,
    point: tuple[float, float] | None,
    min_cosine: float,
    mask: BoolMask | None = None,
) -> Exemplar:
    """Pools the object under a mask, in a box, under a point, or of the whole image.

    Args:
        grid: features of the image.
        box: (x0, y0, x1, y1) pixel edges of the source, or None.
        point: (x, y) pixel of the source, or None.
        min_cosine: of vectors less the image's mean, from which neighbours of a point belong to its object.
        mask: (H, W) of the source, or None. Cells that it covers by half are the object.

    Raises:
        QueryError: more than one of box, point and mask is given; the box or point is not in the image or
            no list of its numbers, or the mask is empty or of another size.
    """
    given = [name for name, one in (("box", box), ("point", point), ("mask", mask)) if one is not None]
    if len(given) > 1:
        raise QueryError(f"{' and '.join(given)} are given together; show the thing by one of them")
    unit = grid.unit().values.astype(np.float32)
    # All vectors of an image share a large component; the rest tells objects apart.
    centre = unit.mean(axis=(0, 1))
    rest = centred(unit, centre)
    if mask is not None:
        covered = _coverage(grid, mask)
        excluded = covered > 0
        member = covered >= min(0.5, float(covered.max()))
    elif point is not None:
        member = excluded = _around_point(grid, rest, point, min_cosine)
    elif box is not None:
        excluded = _inside_box(grid, box)
        member = _without_background(unit, excluded)
    else:
        member = excluded = np.ones(unit.shape[:2], bool)
    vector = unit[member].mean(axis=0)
    vector /= max(float(np.linalg.norm(vector)), 1e-12)
    parts = _cluster_means(rest[member], PART_VECTORS, MIN_PART)
    return Exemplar(
        vector.astype(np.float32),
        grid.space,
        centre,
        parts,
        _context(rest, excluded),
        _discriminant(unit[member].mean(axis=0) - centre, unit[~excluded]),
    )


def centred(unit: FloatArray, centre: FloatArray) -> FloatArray:
    """Unit vectors (..., c) less a centre (c,), unit again."""
    rest = unit - centre
    return np.asarray(rest / np.maximum(np.linalg.norm(rest, axis=-1, keepdims=True), 1e-6), np.float32)


def _numbers(given: Sequence[float], what: str, form: str) -> tuple[float, ...]:
    """The numbers of a box or a point, as many as ``form`` has. Raises QueryError."""
    try:
        found = tuple(float(value) for value in given)
    except (TypeError, ValueError):
        found = ()
    if len(found) != form.count(",") + 1:
        raise QueryError(f"the {what} {given!r} is not of the form {form}; give these numbers in pixels")
    return found


def _cell_of(grid: FeatureGrid, x: float, y: float) -> tuple[int, int]:
    column, row = grid.grid_to_image.to_grid(x, y)
    rows, columns, _ = grid.shape
    return int(np.clip(round(row), 0, rows - 1)), int(np.clip(round(column), 0, columns - 1))


def _around_point(
    grid: FeatureGrid, unit: FloatArray, point: tuple[float, float], min_cosine: float
) -> BoolMask:
    height, width = grid.image_size
    x, y = _numbers(point, "point", "(x, y)")
    if not (np.isfinite(x) and np.isfinite(y) and -0.5 <= x < width - 0.5 and -0.5 <= y < height - 0.5):
        raise QueryError(f"point ({x:g}, {y:g}) is outside the {width}x{height} image")
    row, column = _cell_of(grid, x, y)
    near = (unit @ unit[row, column] >= min_cosine).astype(np.uint8)
    near[row, column] = 1
    _, labels = cv2.connectedComponents(near, connectivity=4)
    return np.asarray(labels == labels[row, column])


def _coverage(grid: FeatureGrid, mask: BoolMask) -> FloatArray:
    """(h, w) float32, the share of each cell's pixels under a mask. Raises QueryError."""
    height, width = grid.image_size
    mask = np.asarray(mask)
    if mask.dtype.kind not in "biuf":
        raise QueryError(f"the mask holds {mask.dtype}; give ({height}, {width}) bool")
    if mask.shape != (height, width):
        raise QueryError(f"the mask has shape {mask.shape}; give ({height}, {width}), as the image")
    if not mask.any():
        raise QueryError("the mask is empty; mark at least one pixel of the thing")
    rows, columns, _ = grid.shape
    to_image = grid.grid_to_image
    column = np.clip(np.rint((np.arange(width) - to_image.ox) / to_image.sx), 0, columns - 1).astype(np.intp)
    row = np.clip(np.rint((np.arange(height) - to_image.oy) / to_image.sy), 0, rows - 1).astype(np.intp)
    cells = (row[:, None] * columns + column[None, :]).ravel()
    counts = np.bincount(cells, minlength=rows * columns)
    marked = np.bincount(cells, weights=mask.ravel(), minlength=rows * columns)
    return (marked / np.maximum(counts, 1)).astype(np.float32).reshape(rows, columns)


def _inside_box(grid: FeatureGrid, box: tuple[float, float, float, float]) -> BoolMask:
    height, width = grid.image_size
    x0, y0, x1, y1 = found = _numbers(box, "box", "(x_min, y_min, x_max, y_max)")
    if not all(np.isfinite(v) for v in found) or x1 <= x0 or y1 <= y0:
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


def _without_background(unit: FloatArray, inside: BoolMask) -> BoolMask:
    """A box's cells less those that resemble the rim around it: a box's corners show background."""
    ring = cv2.dilate(inside.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool) & ~inside
    if np.count_nonzero(ring) < 2:
        return inside
    rim = unit[ring]
    similarity = rim @ rim.T - 2.0 * np.eye(len(rim), dtype=np.float32)
    usual = float(np.median(similarity.max(axis=1)))
    own = inside & ((unit @ rim.T).max(axis=-1) < BACKGROUND_SHARE * usual)
    middle = _middle(inside)
    # A component that does not touch the middle is a neighbour that reaches into the box.
    _, labels = cv2.connectedComponents(own.astype(np.uint8), connectivity=8)
    touching = np.unique(labels[own & middle])
    kept = own & np.isin(labels, touching)
    return np.asarray(kept if np.count_nonzero(kept) >= 0.1 * np.count_nonzero(inside) else middle)


def _middle(inside: BoolMask) -> BoolMask:
    """The inner half of a box's cells."""
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    middle = np.zeros_like(inside)
    r, c = len(rows) // 4, len(columns) // 4
    middle[rows[r] : rows[-1 - r] + 1, columns[c] : columns[-1 - c] + 1] = True
    return middle


def _context(unit: FloatArray, excluded: BoolMask) -> FloatArray | None:
    """Cluster means of the cells outside of the object and its box, or None without any."""
    # A cell beside the object shows a little of it.
    outside = unit[~cv2.dilate(excluded.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)]
    return _cluster_means(outside, CONTEXT_VECTORS, 0.0) if len(outside) else None


def _discriminant(difference: FloatArray, surroundings: FloatArray) -> FloatArray | None:
    """The direction (c,) that sets a thing apart from its surroundings, or None where there are too few.

    Linear discriminant analysis with one thing against the statistics of what is not it (Hariharan, Malik,
    Ramanan, "Discriminative decorrelation for clustering and classification", ECCV 2012): directions in
    which the surroundings differ among themselves say little about the thing.

    Args:
        difference: (c,) the thing's mean vector less that of the image.
        surroundings: (n, c) unit vectors of the other cells.
    """
    if len(surroundings) < MIN_SURROUNDINGS:
        return None
    covariance = np.cov(surroundings, rowvar=False).astype(np.float64)
    ridge = SHRINKAGE * max(float(np.trace(covariance)) / len(covariance), 1e-9)
    direction = np.linalg.solve(covariance + ridge * np.eye(len(covariance)), difference.astype(np.float64))
    reached = float(direction @ difference)
    return np.asarray(direction / reached, np.float32) if reached > 1e-9 else None


def _cluster_means(vectors: FloatArray, count: int, min_share: float) -> FloatArray:
    """Unit means of clusters of ``vectors`` (n, c), which start at farthest points.

    Clusters with less than ``min_share`` of all vectors are left out, but for the largest.
    """
    mean = vectors.mean(axis=0)
    chosen = [int(np.argmax(vectors @ mean))]
    nearest = vectors @ vectors[chosen[0]]
    while len(chosen) < min(count, len(vectors)):
        chosen.append(int(np.argmin(nearest)))
        nearest = np.maximum(nearest, vectors @ vectors[chosen[-1]])
    centres = vectors[chosen]
    # Two rounds of k-means, so that no single outlier is a centre.
    for _ in range(2):
        owner = np.argmax(vectors @ centres.T, axis=1)
        sizes = np.bincount(owner, minlength=len(centres))
        enough = (sizes > 0) & (sizes >= min_share * len(vectors)) | (sizes == sizes.max())
        kept = np.flatnonzero(enough)
        centres = np.stack([vectors[owner == k].mean(axis=0) for k in kept])
        centres /= np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-12)
    return np.asarray(centres, np.float32)
