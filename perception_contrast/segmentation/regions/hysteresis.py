"""Hysteresis thresholding: connected regions above a low threshold that reach a high one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import FloatArray
from perception_contrast.segmentation.regions.region import Region, peak_logit


@dataclass(frozen=True)
class LogitWindow:
    """The part of a map that regions are grown in, and their thresholds.

    Attributes:
        logits: (h, w) float32.
        seed: the high threshold.
        low: the low threshold.
        corner: left and top of the window in the whole map.
    """

    logits: FloatArray
    seed: float
    low: float
    corner: tuple[int, int] = (0, 0)


def grow_regions(
    windows: Sequence[LogitWindow], pixels: int, min_share: float, max_regions: int
) -> list[list[Region]]:
    """Connected components (8 neighbours) of ``logits >= low`` whose peak reaches ``seed``.

    Args:
        windows: of maps of one size.
        pixels: number of pixels of a whole map.
        min_share: smallest share of the whole map; smaller components are dropped.
        max_regions: most regions of a window.

    Returns:
        Of each window its regions in pixels of the whole map, highest peak first.
    """
    grown: list[list[Region]] = [[] for _ in windows]
    components = _components(windows)
    if components is None:
        return grown
    seeds = np.array([window.seed for window in windows])[components.window]
    large = (components.counts >= max(1.0, min_share * pixels)) & (components.highest >= seeds)
    for number in np.flatnonzero(large).tolist():
        window = int(components.window[number])
        region = components.region(number, windows[window].corner, pixels)
        if region.peak >= windows[window].seed:
            grown[window].append(region)
    for regions in grown:
        regions.sort(key=lambda region: region.peak, reverse=True)
    return [regions[:max_regions] for regions in grown]


@dataclass(frozen=True)
class _Components:
    """Connected components of windows that lie one below another, numbered from 0.

    Attributes:
        labels: (H, W), the number plus 1 of each pixel's component.
        values: of all their pixels, component by component and row by row.
        starts: where each component begins in ``values``.
        counts: pixels of each component.
        sums: of the values of each component.
        highest: highest value of each component.
        boxes: (n, 4) of each component, in pixels of ``labels``.
        window: of each component.
        tops: first row of each window.
    """

    labels: NDArray[np.int32]
    values: FloatArray
    starts: NDArray[np.int64]
    counts: NDArray[np.int64]
    sums: FloatArray
    highest: FloatArray
    boxes: NDArray[np.int64]
    window: NDArray[np.int64]
    tops: NDArray[np.int64]

    def region(self, number: int, corner: tuple[int, int], pixels: int) -> Region:
        start, count = int(self.starts[number]), int(self.counts[number])
        x0, y0, x1, y1 = self.boxes[number].tolist()
        left, top = corner[0], corner[1] - int(self.tops[self.window[number]])
        mask = self.labels[y0:y1, x0:x1] == number + 1
        peak = peak_logit(self.values[start : start + count])
        mean = float(self.sums[number]) / count
        return Region((x0 + left, y0 + top, x1 + left, y1 + top), mask, peak, mean, count / pixels)


def _components(windows: Sequence[LogitWindow]) -> _Components | None:
    """Components (8 neighbours) of the pixels from ``low`` on of all windows; None without any.

    The windows are laid one below another, a row apart, so that the steps below are done once for all.
    """
    heights = np.array([window.logits.shape[0] + 1 for window in windows], np.int64)
    tops = heights.cumsum() - heights
    size = (int(heights.sum()), max((window.logits.shape[1] for window in windows), default=0))
    hot, logits = np.zeros(size, bool), np.empty(size, np.float32)
    for window, top in zip(windows, tops.tolist(), strict=True):
        rows, columns = window.logits.shape
        inside = np.s_[top : top + rows, :columns]
        logits[inside] = window.logits
        np.greater_equal(window.logits, window.low, out=hot[inside])
    places = np.flatnonzero(hot)
    if not len(places):
        return None
    # OpenCV's statistics of the components take several times as long as the components.
    _, labels = cv2.connectedComponents(hot.view(np.uint8), connectivity=8)
    numbers = labels.ravel().take(places)
    places = places[numbers.argsort(kind="stable")]
    counts = np.bincount(numbers)[1:]
    starts = counts.cumsum() - counts
    rows, columns = np.divmod(places, size[1])
    values = logits.ravel().take(places)
    first, last = rows[starts], rows[starts + counts - 1]
    left, right = np.minimum.reduceat(columns, starts), np.maximum.reduceat(columns, starts)
    return _Components(
        labels,
        values,
        starts,
        counts,
        np.add.reduceat(values, starts),
        np.maximum.reduceat(values, starts),
        np.stack([left, first, right + 1, last + 1], axis=1),
        np.searchsorted(tops, first, side="right") - 1,
        tops,
    )
