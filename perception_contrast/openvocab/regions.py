"""Candidate regions: grown from confident seeds, one per connected component, with what is known of each."""

from __future__ import annotations

from dataclasses import dataclass

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
    _, labels, stats, _ = cv2.connectedComponentsWithStats(support, connectivity=8)
    least = max(1.0, least_share * logits.size)
    regions: list[Region] = []
    for number in range(1, len(stats)):
        x, y, w, h, area = (int(v) for v in stats[number])
        if area < least:
            continue
        mask = labels[y : y + h, x : x + w] == number
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
    top, tall = _shares(y0, y1, size[0], grid.shape[0])
    left, wide = _shares(x0, x1, size[1], grid.shape[1])
    weight = tall @ region.mask.astype(np.float32) @ wide.T
    window = grid[top : top + len(tall), left : left + len(wide)]
    total = np.einsum("hw,hwc->c", weight, window, optimize=True)
    return np.asarray(total / max(float(np.linalg.norm(total)), 1e-12), np.float32)


def _shares(start: int, stop: int, pixels: int, cells: int) -> tuple[int, Array]:
    """How much of each pixel from start to stop lies in each cell, cells covering the pixels evenly.

    First cell that is touched, and lengths (touched cells, stop - start) in pixels.
    """
    first, last = start * cells // pixels, -(-stop * cells // pixels)
    edges = np.arange(first, last + 1) * (pixels / cells)
    pixel = np.arange(start, stop)
    shared = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    return first, np.maximum(shared, 0.0).astype(np.float32)
