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
    """Connected components of ``logits >= low`` that hold a pixel of ``logits >= seed`` (hysteresis).

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


def overlap(first: Region, second: Region) -> float:
    """Intersection over union of two masks of one picture."""
    x0, y0 = max(first.box[0], second.box[0]), max(first.box[1], second.box[1])
    x1, y1 = min(first.box[2], second.box[2]), min(first.box[3], second.box[3])
    if x0 >= x1 or y0 >= y1:
        return 0.0

    def part(region: Region) -> NDArray[np.bool_]:
        bx, by = region.box[:2]
        return region.mask[y0 - by : y1 - by, x0 - bx : x1 - bx]

    common = int(np.count_nonzero(part(first) & part(second)))
    union = int(np.count_nonzero(first.mask)) + int(np.count_nonzero(second.mask)) - common
    return common / max(union, 1)


def region_vector(region: Region, size: tuple[int, int], grid: Array) -> Array:
    """Mean grid vector under a region, unit norm. size: (H, W) of the region's map; grid (h, w, c)."""
    rows, columns = grid.shape[:2]
    x0, y0, x1, y1 = region.box
    top, bottom = y0 * rows // size[0], max(-(-y1 * rows // size[0]), y0 * rows // size[0] + 1)
    left, right = x0 * columns // size[1], max(-(-x1 * columns // size[1]), x0 * columns // size[1] + 1)
    full = np.zeros(
        (round((bottom - top) * size[0] / rows), round((right - left) * size[1] / columns)), np.float32
    )
    oy, ox = y0 - round(top * size[0] / rows), x0 - round(left * size[1] / columns)
    oy, ox = max(oy, 0), max(ox, 0)
    h, w = min(region.mask.shape[0], full.shape[0] - oy), min(region.mask.shape[1], full.shape[1] - ox)
    full[oy : oy + h, ox : ox + w] = region.mask[:h, :w]
    weight = cv2.resize(full, (right - left, bottom - top), interpolation=cv2.INTER_AREA)
    weight = np.atleast_2d(weight)
    total = (grid[top:bottom, left:right] * weight[..., None]).sum(axis=(0, 1))
    vector: Array = (total / max(float(np.linalg.norm(total)), 1e-12)).astype(np.float32)
    return vector
