"""Mean feature vectors of regions and detections."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from perception_contrast.core.arrays import BoolMask, Box, FloatArray, Size


class Masked(Protocol):
    """A mask (h, w) of a box: a region of a map, or a detection in an image."""

    @property
    def box(self) -> Box: ...

    @property
    def mask(self) -> BoolMask: ...


class _CoveredCells(NamedTuple):
    """Flat indices (n,) of the cells that a region covers, and the pixels that it covers of each (n,)."""

    cells: NDArray[np.int64]
    weights: FloatArray


def pool_regions(regions: Sequence[Masked], map_size: Size, features: FloatArray) -> FloatArray:
    """Mean feature vectors of regions, weighted by the area that they cover of each cell.

    Args:
        regions: n regions of one map, at least one.
        map_size: (height, width) of the map, or of the image.
        features: (h, w, c) float32 of the same image.

    Returns:
        (n, c) float32 unit rows.
    """
    down = overlap_lengths(map_size[0], features.shape[0])
    across = overlap_lengths(map_size[1], features.shape[1])
    numbers = np.arange(features.shape[0] * features.shape[1]).reshape(features.shape[:2])
    covered = [_covered_cells(region, down, across, numbers) for region in regions]
    cells, weights = (np.concatenate(side) for side in zip(*covered, strict=True))
    ends = np.cumsum([0, *(len(one.cells) for one in covered)])
    # A sparse product reads only the covered cells, of all regions in one call.
    areas = csr_array((weights, cells, ends), shape=(len(regions), numbers.size))
    totals = areas @ features.reshape(numbers.size, -1)
    norms = np.linalg.norm(totals, axis=1, keepdims=True)
    return np.asarray(totals / np.maximum(norms, 1e-12), np.float32)


def _covered_cells(
    region: Masked, down: FloatArray, across: FloatArray, numbers: NDArray[np.int64]
) -> _CoveredCells:
    x0, y0, x1, y1 = region.box
    top, bottom = _cell_range(y0, y1, *down.shape)
    left, right = _cell_range(x0, x1, *across.shape)
    weight = down[top:bottom, y0:y1] @ region.mask.astype(np.float32) @ across[left:right, x0:x1].T
    inside = weight > 0
    return _CoveredCells(numbers[top:bottom, left:right][inside], weight[inside])


def _cell_range(start: int, stop: int, cells: int, pixels: int) -> tuple[int, int]:
    """First of the cells that pixels from start to stop touch, and the one after the last."""
    return start * cells // pixels, -(-stop * cells // pixels)


@lru_cache(maxsize=16)
def overlap_lengths(pixels: int, cells: int) -> FloatArray:
    """(cells, pixels) length of each pixel of a row that each of evenly spaced cells covers."""
    edges = np.arange(cells + 1) * (pixels / cells)
    low = np.maximum(edges[:-1, None], np.arange(pixels))
    high = np.minimum(edges[1:, None], np.arange(pixels) + 1)
    return np.asarray(np.maximum(high - low, 0), np.float32)
