"""Candidate regions: grown from confident seeds, one per connected component, with what is known of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Region:
    """box: (x_min, y_min, x_max, y_max), max exclusive, pixels of the map it came from. mask: of the box.

    peak, mean: highest (99th percentile) and mean logit inside. share: of the picture's pixels.
    """

    box: tuple[int, int, int, int]
    mask: NDArray[np.bool_]
    peak: float
    mean: float
    share: float


def grow_regions(logits: Array, seed: float, low: float, least_share: float, most: int) -> list[Region]:
    """Connected components (8 neighbours) of ``logits >= low`` whose peak reaches ``seed`` (hysteresis).

    logits: (H, W). least_share: of the picture, smaller ones are dropped. Strongest first, at most ``most``.
    """
    support = (logits >= low).astype(np.uint8)
    if not support.any() or float(logits.max()) < seed:
        return []
    # Most things cover little of a picture: only the part that holds any support is searched.
    left, top, width, height = cv2.boundingRect(support)
    window = np.ascontiguousarray(support[top : top + height, left : left + width])
    _, labels, stats, _ = cv2.connectedComponentsWithStats(window, connectivity=8)
    least = max(1.0, least_share * logits.size)
    regions: list[Region] = []
    for number in range(1, len(stats)):
        x, y, w, h, area = (int(v) for v in stats[number])
        if area < least:
            continue
        mask = labels[y : y + h, x : x + w] == number
        x, y = x + left, y + top
        inside = logits[y : y + h, x : x + w][mask]
        peak = float(np.partition(inside, -max(1, len(inside) // 100))[-max(1, len(inside) // 100)])
        if peak < seed:
            continue
        regions.append(Region((x, y, x + w, y + h), mask, peak, float(inside.mean()), area / logits.size))
    regions.sort(key=lambda region: region.peak, reverse=True)
    return regions[:most]


def region_vector(region: Region, size: tuple[int, int], grid: Array) -> Array:
    """Mean grid vector under a region, unit norm. size: (H, W) of the region's map; grid (h, w, c)."""
    x0, y0, x1, y1 = region.box
    top, rows = _edges(y0, y1, size[0], grid.shape[0])
    left, columns = _edges(x0, x1, size[1], grid.shape[1])
    # Between pixels the integral image is bilinear, so sampling it at cells' edges gives exact areas.
    area = cv2.integral(region.mask.view(np.uint8))
    area = _sampled(_sampled(area, rows - y0).T, columns - x0).T
    weight = np.diff(np.diff(area, axis=0), axis=1).astype(np.float32)
    window = grid[top : top + len(weight), left : left + weight.shape[1]]
    total = weight.reshape(-1) @ window.reshape(weight.size, -1)
    return np.asarray(total / max(float(np.linalg.norm(total)), 1e-12), np.float32)


def _edges(start: int, stop: int, pixels: int, cells: int) -> tuple[int, NDArray[np.float64]]:
    """First of the cells that pixels from start to stop touch, and the edges of all those, in pixels.

    Cells cover the pixels evenly. Edges outside are moved to start and stop.
    """
    first, last = start * cells // pixels, -(-stop * cells // pixels)
    return first, np.clip(np.arange(first, last + 1) * (pixels / cells), start, stop)


def _sampled(values: NDArray[Any], at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows of values (n + 1, m) at places in [0, n], linear between them."""
    low = np.minimum(at.astype(np.int64), len(values) - 2)
    share = (at - low)[:, None]
    sampled: NDArray[np.float64] = values[low] * (1.0 - share) + values[low + 1] * share
    return sampled
