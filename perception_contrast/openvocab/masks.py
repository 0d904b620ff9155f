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

    The guide's statistics are computed once and serve every map of the same picture. With ``every``
    above 1 they, and the local lines, are made of every n-th pixel and interpolated (He and Sun, "Fast
    Guided Filter", 2015); the edges still come from the whole guide.
    """

    def __init__(self, guide: Array, radius: int, epsilon: float = 1e-3, every: int = 1) -> None:
        """guide: (h, w) float32 in [0, 1]. radius: pixels. epsilon: variance below which all is flat."""
        self._guide = guide.astype(np.float32, copy=False)
        size = (max(1, guide.shape[0] // every), max(1, guide.shape[1] // every))
        self._small = self._guide if every == 1 else upsampled(self._guide, size)
        side = 2 * max(1, round(radius / every)) + 1
        self._window = (side, side)
        self._mean = self._blur(self._small)
        self._variance = self._blur(self._small * self._small) - self._mean * self._mean
        self._epsilon = epsilon

    def _blur(self, values: Array) -> Array:
        return np.asarray(cv2.blur(values, self._window), np.float32)

    def __call__(self, values: Array) -> Array:
        """Smooths a map of any size that covers the guide's picture; (h, w) of the guide comes back."""
        size, small = self._guide.shape, self._small.shape
        small_values = values if values.shape == small else upsampled(values, (small[0], small[1]))
        mean = self._blur(small_values)
        covariance = self._blur(self._small * small_values) - self._mean * mean
        slope = np.asarray(covariance / (self._variance + self._epsilon), np.float32)
        offset = np.asarray(mean - slope * self._mean, np.float32)
        slope, offset = self._blur(slope), self._blur(offset)
        if small != size:
            slope, offset = (upsampled(plane, (size[0], size[1])) for plane in (slope, offset))
        return slope * self._guide + offset
