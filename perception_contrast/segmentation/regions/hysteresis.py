"""Hysteresis thresholding: connected regions above a low threshold that reach a high one."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import BoolMask, FloatArray
from perception_contrast.segmentation.regions.region import Region, peak_logit


def grow_regions(
    logits: FloatArray,
    seed: float,
    low: float,
    min_share: float,
    max_regions: int,
    *,
    corner: tuple[int, int] = (0, 0),
    pixels: int | None = None,
) -> list[Region]:
    """Connected components (8 neighbours) of ``logits >= low`` whose peak reaches ``seed``.

    Args:
        logits: (H, W) float32, a whole map or a window of it.
        seed: the high threshold.
        low: the low threshold.
        min_share: smallest share of the whole map; smaller components are dropped.
        max_regions: most regions.
        corner: left and top of the window in the whole map.
        pixels: number of pixels of the whole map; None: ``logits`` is the whole map.

    Returns:
        Regions in pixels of the whole map, highest peak first.
    """
    total = logits.size if pixels is None else pixels
    components = _components(logits, logits >= low)
    if components is None:
        return []
    large = (components.counts >= max(1.0, min_share * total)) & (components.highest >= seed)
    regions = [components.region(int(number), corner, total) for number in np.flatnonzero(large)]
    regions = [region for region in regions if region.peak >= seed]
    regions.sort(key=lambda region: region.peak, reverse=True)
    return regions[:max_regions]


@dataclass(frozen=True)
class _Components:
    """Connected components of a map, numbered from 0.

    Attributes:
        labels: (H, W), the number plus 1 of each pixel's component.
        values: of all their pixels, component by component and row by row.
        rows: row of each of ``values``.
        starts: where each component begins in ``values``.
        counts: pixels of each component.
        left: first column of each component.
        right: last column of each component.
        highest: highest value of each component.
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
        return Region(box, mask, peak_logit(own), float(own.sum()) / count, count / pixels)


def _components(values: FloatArray, hot: BoolMask) -> _Components | None:
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
