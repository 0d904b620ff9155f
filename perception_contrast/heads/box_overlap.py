"""The suppression of boxes that say the same."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import FloatArray
from perception_contrast.core.box_iou import box_iou


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
    rivals = (box_iou(boxes, boxes) > least) & (labels[:, None] == labels[None])
    kept = np.ones(len(order), bool)
    for index in range(len(order)):
        if kept[index]:
            kept[index + 1 :] &= ~rivals[index, index + 1 :]
    return np.asarray(order[kept])
