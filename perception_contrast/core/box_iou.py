"""Overlaps of boxes in an image."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", np.float32, np.float64)


def box_iou(first: NDArray[Number], second: NDArray[Number]) -> NDArray[Number]:
    """Intersection over union of each box of one list with each of another.

    Args:
        first: (n, 4) left, top, right and bottom edges.
        second: (m, 4), in the same unit.

    Returns:
        (n, m); 0 where neither box has an area.
    """
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=-1)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=-1) for boxes in (first, second)]
    union = areas[0][:, None] + areas[1][None] - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))
