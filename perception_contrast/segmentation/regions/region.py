"""A connected region of a coarse logit map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perception_contrast.core.arrays import BoolMask, Box, FloatArray


@dataclass(frozen=True)
class Region:
    """A region of a map.

    Attributes:
        box: pixels of the map.
        mask: (h, w) of ``box``.
        peak: high logit of its pixels (99th percentile).
        mean: mean logit of its pixels.
        share: of the image's pixels.
    """

    box: Box
    mask: BoolMask
    peak: float
    mean: float
    share: float


@dataclass(frozen=True)
class QueryRegion:
    """A region of query number ``query``."""

    query: int
    region: Region


def peak_logit(values: FloatArray) -> float:
    """The 99th percentile of (n,) values, the highest where there are few."""
    place = -max(1, len(values) // 100)
    return float(values.max()) if place == -1 else float(np.partition(values, place)[place])


def measure_region(values: FloatArray, corner: tuple[int, int], mask: BoolMask, pixels: int) -> Region:
    """The region of a mask, with its statistics.

    Args:
        values: (h, w) logits of the region's box.
        corner: left and top of the box.
        mask: (h, w) of the box, not empty.
        pixels: number of pixels of the whole map.
    """
    inside = values[mask]
    box = (corner[0], corner[1], corner[0] + mask.shape[1], corner[1] + mask.shape[0])
    return Region(box, mask, peak_logit(inside), float(inside.mean()), len(inside) / pixels)


def crop_region(region: Region, mask: BoolMask, values: FloatArray) -> Region:
    """The part of a region under a mask, in a box that fits it.

    Args:
        region: the whole.
        mask: (h, w) of the region's box, not empty.
        values: (h, w) logits of the region's box.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    inside = np.s_[int(rows[0]) : int(rows[-1]) + 1, int(columns[0]) : int(columns[-1]) + 1]
    corner = (region.box[0] + int(columns[0]), region.box[1] + int(rows[0]))
    pixels = round(np.count_nonzero(region.mask) / region.share)
    return measure_region(values[inside], corner, np.ascontiguousarray(mask[inside]), pixels)
