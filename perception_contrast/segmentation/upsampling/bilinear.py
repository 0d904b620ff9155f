"""Bilinear upsampling of maps that cover a whole image, and of windows of them."""

from __future__ import annotations

import cv2
import numpy as np

from perception_contrast.core.arrays import Box, FloatArray, Size


def upsample_bilinear(grid: FloatArray, size: Size) -> FloatArray:
    """A grid (h, w) that covers a whole image to (height, width). For logits, never for features."""
    return np.asarray(cv2.resize(grid, (size[1], size[0]), interpolation=cv2.INTER_LINEAR), np.float32)


def upsample_window(values: FloatArray, box: Box, factor: int) -> FloatArray:
    """What ``upsample_bilinear`` by a whole factor gives under a box, without computing the rest."""
    x0, y0, x1, y1 = box
    if factor == 1:
        return values[y0:y1, x0:x1].copy()
    # One pixel more on each side, so that the rim is interpolated as it is in the whole.
    left, top = max(0, x0 - 1), max(0, y0 - 1)
    around = values[top : y1 + 1, left : x1 + 1]
    large = upsample_bilinear(around, (around.shape[0] * factor, around.shape[1] * factor))
    y, x = (y0 - top) * factor, (x0 - left) * factor
    return large[y : y + (y1 - y0) * factor, x : x + (x1 - x0) * factor]
