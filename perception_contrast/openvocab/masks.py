"""Logit grids to masks in source pixels."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def upsampled(grid: Array, size: tuple[int, int]) -> Array:
    """A grid (h, w) that covers a whole picture, bilinear, to (height, width). Logits, never features."""
    return np.asarray(cv2.resize(grid, (size[1], size[0]), interpolation=cv2.INTER_LINEAR), np.float32)


class GuidedFilter:
    """Edge-aware smoothing by a grey guide (He et al., "Guided Image Filtering", ECCV 2010).

    The guide's statistics are computed once and serve every map of the same picture.
    """

    def __init__(self, guide: Array, radius: int, epsilon: float = 1e-3) -> None:
        """guide: (h, w) float32 in [0, 1]. radius: cells. epsilon: variance below which all is flat."""
        self._guide, self._window = guide.astype(np.float32, copy=False), (2 * radius + 1, 2 * radius + 1)
        self._mean = self._blur(guide)
        self._variance = self._blur(guide * guide) - self._mean * self._mean
        self._epsilon = epsilon

    def _blur(self, values: Array) -> Array:
        return np.asarray(cv2.blur(values, self._window), np.float32)

    def __call__(self, values: Array) -> Array:
        """Smooths a map (h, w) of the guide's size."""
        mean = self._blur(values)
        covariance = self._blur(self._guide * values) - self._mean * mean
        slope = np.asarray(covariance / (self._variance + self._epsilon), np.float32)
        offset = np.asarray(mean - slope * self._mean, np.float32)
        return self._blur(slope) * self._guide + self._blur(offset)
