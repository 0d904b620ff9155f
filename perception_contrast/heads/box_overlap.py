"""Overlaps of boxes, and the suppression of those that say the same."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import FloatArray


def overlaps(first: FloatArray, second: FloatArray) -> FloatArray:
    """(n, m) intersection over union of boxes (n, 4) and (m, 4), x0, y0, x1, y1."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0.0, None), axis=-1)
    union = _areas(first)[:, None] + _areas(second)[None] - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0), np.float32)


def suppressed(
    boxes: FloatArray, scores: FloatArray, labels: NDArray[np.int64], least: float
) -> NDArray[np.int64]:
    """Indices of the boxes that no better one of their label overlaps by more than ``least``, best first.

    Args:
        boxes: (n, 4).
        scores: (n,).
        labels: (n,).
        least: IoU.
    """
    order = np.argsort(-scores, kind="stable")
    boxes, labels = boxes[order], labels[order]
    rivals = (overlaps(boxes, boxes) > least) & (labels[:, None] == labels[None])
    kept = np.ones(len(order), bool)
    for index in range(len(order)):
        if kept[index]:
            kept[index + 1 :] &= ~rivals[index, index + 1 :]
    return np.asarray(order[kept])


def _areas(boxes: FloatArray) -> FloatArray:
    return np.asarray(np.prod(boxes[:, 2:] - boxes[:, :2], axis=-1))
