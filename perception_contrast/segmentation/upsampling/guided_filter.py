"""Edge-aware smoothing by a grey guide (He et al., "Guided Image Filtering", ECCV 2010)."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from perception_contrast.core.arrays import Box, FloatArray
from perception_contrast.segmentation.upsampling.bilinear import upsample_bilinear


class LinearModel(NamedTuple):
    """The filter's local linear model: smoothed = slope * guide + offset; both (h, w) float32."""

    slope: FloatArray
    offset: FloatArray


class GuidedFilter:
    """A guided filter whose statistics of the guide serve every map of the same image.

    With ``subsampling`` above 1 the statistics and the linear models are computed on every n-th pixel and
    interpolated (He and Sun, "Fast Guided Filter", 2015); the edges still come from the whole guide.

    Attributes:
        guide: (h, w) float32 in [0, 1].
        small_guide: the guide at the size at which the linear models are fitted.
    """

    def __init__(self, guide: FloatArray, radius: int, epsilon: float = 1e-3, subsampling: int = 1) -> None:
        """Computes the guide's mean and variance.

        Args:
            guide: (h, w) float32 in [0, 1].
            radius: of the square window, pixels of the guide.
            epsilon: variance of the guide below which a window counts as flat.
            subsampling: factor of the fast guided filter.
        """
        self.guide = guide.astype(np.float32, copy=False)
        size = (max(1, guide.shape[0] // subsampling), max(1, guide.shape[1] // subsampling))
        self.small_guide = self.guide if subsampling == 1 else upsample_bilinear(self.guide, size)
        side = 2 * max(1, round(radius / subsampling)) + 1
        self._window = (side, side)
        self._mean = self._blur(self.small_guide)
        variance = self._blur(self.small_guide * self.small_guide) - self._mean * self._mean
        self._divisor = variance + np.float32(epsilon)

    def _blur(self, values: FloatArray) -> FloatArray:
        return np.asarray(cv2.blur(values, self._window), np.float32)

    def linear_model(self, values: FloatArray, box: Box) -> LinearModel:
        """The linear model of a map under a part of the small guide.

        Args:
            values: (h, w) of ``box``.
            box: pixels of the small guide.
        """
        x0, y0, x1, y1 = box
        window = np.s_[y0:y1, x0:x1]
        mean, guide_mean = self._blur(values), self._mean[window]
        product = guide_mean * mean
        # Covariance over variance, in the memory of the covariance; then the offset in that of the mean.
        slope = self._blur(self.small_guide[window] * values)
        slope -= product
        slope /= self._divisor[window]
        mean -= np.multiply(slope, guide_mean, out=product)
        return LinearModel(self._blur(slope), self._blur(mean))

    def __call__(self, values: FloatArray) -> FloatArray:
        """Smooths a map of any size that covers the guide's image to (h, w) of the guide."""
        size, small = self.guide.shape, self.small_guide.shape
        values = values if values.shape == small else upsample_bilinear(values, (small[0], small[1]))
        slope, offset = self.linear_model(values, (0, 0, small[1], small[0]))
        if slope.shape != size:
            slope, offset = (upsample_bilinear(one, (size[0], size[1])) for one in (slope, offset))
        return slope * self.guide + offset
