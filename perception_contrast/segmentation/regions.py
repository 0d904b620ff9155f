"""Candidate regions: grown from confident seeds, one per connected component, with what is known of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from perception_contrast.core.arrays import FloatArray


@dataclass(frozen=True)
class Region:
    """box: (x_min, y_min, x_max, y_max), max exclusive, pixels of the map it came from. mask: of the box.

    peak, mean: highest (99th percentile) and mean logit inside. share: of the image's pixels.
    """

    box: tuple[int, int, int, int]
    mask: NDArray[np.bool_]
    peak: float
    mean: float
    share: float


def grow_regions(
    logits: FloatArray,
    seed: float,
    low: float,
    least_share: float,
    most: int,
    *,
    corner: tuple[int, int] = (0, 0),
    pixels: int | None = None,
) -> list[Region]:
    """Connected components (8 neighbours) of ``logits >= low`` whose peak reaches ``seed`` (hysteresis).

    logits: (H, W), a whole map or the part of one whose left and top are ``corner`` and which has ``pixels``
    in all. least_share: of the whole, smaller ones are dropped. Strongest first, at most ``most``.
    """
    total = logits.size if pixels is None else pixels
    there = _components(logits, logits >= low)
    if there is None:
        return []
    large = (there.counts >= max(1.0, least_share * total)) & (there.highest >= seed)
    regions = [there.region(int(number), corner, total) for number in np.flatnonzero(large)]
    regions = [region for region in regions if region.peak >= seed]
    regions.sort(key=lambda region: region.peak, reverse=True)
    return regions[:most]


@dataclass(frozen=True)
class _Components:
    """Connected components of a map (H, W), numbered from 0. labels: (H, W), of each pixel the number and 1.

    values, rows: of all their pixels, component by component and row by row; from ``starts`` on, as many as
    ``counts``. left, right: their first and last columns. highest: values.
    """

    labels: NDArray[np.int32]
    values: FloatArray
    rows: NDArray[np.int64]
    starts: NDArray[np.int64]
    counts: NDArray[np.int64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    highest: FloatArray

    def region(self, number: int, corner: tuple[int, int], pixels: int) -> Region:
        start, count = int(self.starts[number]), int(self.counts[number])
        own = self.values[start : start + count]
        x0, x1 = int(self.left[number]), int(self.right[number]) + 1
        y0, y1 = int(self.rows[start]), int(self.rows[start + count - 1]) + 1
        box = (x0 + corner[0], y0 + corner[1], x1 + corner[0], y1 + corner[1])
        mask = self.labels[y0:y1, x0:x1] == number + 1
        return Region(box, mask, peak_of(own), float(own.sum()) / count, count / pixels)


def _components(values: FloatArray, hot: NDArray[np.bool_]) -> _Components | None:
    """Components (8 neighbours) of the pixels ``hot`` of a map; None without any."""
    places = np.flatnonzero(hot)
    if not len(places):
        return None
    # OpenCV's statistics of the components take several times as long as the components.
    _, labels = cv2.connectedComponents(hot.view(np.uint8), connectivity=8)
    numbers = labels.ravel().take(places)
    order = numbers.argsort(kind="stable")
    places = places[order]
    counts = np.bincount(numbers)[1:]
    starts = counts.cumsum() - counts
    rows, columns = np.divmod(places, hot.shape[1])
    own = values.ravel().take(places)
    left, right = np.minimum.reduceat(columns, starts), np.maximum.reduceat(columns, starts)
    return _Components(labels, own, rows, starts, counts, left, right, np.maximum.reduceat(own, starts))


def peak_of(values: FloatArray) -> float:
    """The 99th percentile of (n,) values, the highest where there are few."""
    place = -max(1, len(values) // 100)
    return float(values.max()) if place == -1 else float(np.partition(values, place)[place])


def measured(values: FloatArray, corner: tuple[int, int], mask: NDArray[np.bool_], pixels: int) -> Region:
    """A region with what is known of it. values, mask: (h, w) of its box, whose left and top are ``corner``.

    pixels: of the whole map. The mask is not empty.
    """
    inside = values[mask]
    box = (corner[0], corner[1], corner[0] + mask.shape[1], corner[1] + mask.shape[0])
    return Region(box, mask, peak_of(inside), float(inside.mean()), len(inside) / pixels)


def part_of(region: Region, mask: NDArray[np.bool_], values: FloatArray) -> Region:
    """A part of a region. mask, values: of the region's box; the mask is not empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    inside = np.s_[int(rows[0]) : int(rows[-1]) + 1, int(columns[0]) : int(columns[-1]) + 1]
    corner = (region.box[0] + int(columns[0]), region.box[1] + int(rows[0]))
    pixels = round(np.count_nonzero(region.mask) / region.share)
    return measured(values[inside], corner, np.ascontiguousarray(mask[inside]), pixels)


def region_vectors(regions: Sequence[Region], size: tuple[int, int], grid: FloatArray) -> FloatArray:
    """Mean grid vectors under regions, (n, c) unit rows. size: (H, W) of their map; grid (h, w, c)."""
    down, across = overlaps(size[0], grid.shape[0]), overlaps(size[1], grid.shape[1])
    places = np.arange(grid.shape[0] * grid.shape[1]).reshape(grid.shape[:2])
    covered = [_covered(region, down, across, places) for region in regions]
    cells, weights = (np.concatenate(side) for side in zip(*covered, strict=True))
    ends = np.cumsum([0, *(len(own) for own, _ in covered)])
    # A sparse product reads only what is covered, of all regions in one call.
    among = csr_array((weights, cells, ends), shape=(len(regions), places.size))
    totals = among @ grid.reshape(places.size, -1)
    norms = np.linalg.norm(totals, axis=1, keepdims=True)
    return np.asarray(totals / np.maximum(norms, 1e-12), np.float32)


def _covered(
    region: Region, down: FloatArray, across: FloatArray, places: NDArray[np.int64]
) -> tuple[NDArray[np.int64], FloatArray]:
    """Which of a grid's cells (``places``) a region covers, (n,), and how many pixels of its map of each."""
    x0, y0, x1, y1 = region.box
    top, bottom = _cells(y0, y1, *down.shape)
    left, right = _cells(x0, x1, *across.shape)
    weight = down[top:bottom, y0:y1] @ region.mask.astype(np.float32) @ across[left:right, x0:x1].T
    inside = weight > 0
    return places[top:bottom, left:right][inside], weight[inside]


def _cells(start: int, stop: int, cells: int, pixels: int) -> tuple[int, int]:
    """First of the cells that pixels from start to stop touch, and the one after the last."""
    return start * cells // pixels, -(-stop * cells // pixels)


@lru_cache(maxsize=16)
def overlaps(pixels: int, cells: int) -> FloatArray:
    """(cells, pixels): how much of each pixel of a row each of evenly spread cells covers."""
    edges = np.arange(cells + 1) * (pixels / cells)
    low = np.maximum(edges[:-1, None], np.arange(pixels))
    high = np.minimum(edges[1:, None], np.arange(pixels) + 1)
    return np.asarray(np.maximum(high - low, 0), np.float32)
