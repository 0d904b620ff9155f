"""Features as colours: their first three principal components."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.feature_grid import FeatureGrid

MAX_WIDTH = 640


class PcaRenderer:
    """The first three principal components as red, green and blue, stable from frame to frame.

    Args:
        one_scale: Scale the three components alike, so that a strong one stays stronger in the colours; else
            each is stretched to the full range.

    Attributes:
        explained: Shares of the last frame's variance that the three components have, (3,).
    """

    def __init__(self, *, one_scale: bool = False) -> None:
        self._one_scale = one_scale
        self.explained: NDArray[np.float64] = np.zeros(3)
        self._basis: NDArray[np.float64] | None = None
        self._space = ""

    def __call__(self, grid: FeatureGrid) -> NDArray[np.uint8]:
        """Renders the features of the next frame.

        Args:
            grid: features; another space than before starts with new components.

        Returns:
            (H, W, 3) uint8 RGB of the source's size, at most MAX_WIDTH wide.
        """
        rows, columns, channels = grid.shape
        values = grid.values.astype(np.float32).reshape(-1, channels)
        centred = values - values.mean(axis=0)
        covariance = (centred.T @ centred).astype(np.float64)
        if self._basis is None or self._space != grid.space:
            self._basis, self._space = np.linalg.eigh(covariance)[1][:, :-4:-1], grid.space
        else:
            # One step of subspace iteration from the last frame keeps the colours stable.
            basis, upper = np.linalg.qr(covariance @ self._basis)
            self._basis = basis * np.where(np.diag(upper) < 0, -1.0, 1.0)
        projected = centred @ self._basis.astype(np.float32)
        self.explained = np.square(projected).sum(axis=0) / max(float(np.trace(covariance)), 1e-12)
        low, high = np.percentile(projected, (2, 98), axis=0)
        if self._one_scale:
            middle, reach = (low + high) / 2, float((high - low).max()) / 2
            low, high = middle - reach, middle + reach
        shades = np.clip((projected - low) / np.maximum(high - low, 1e-9), 0, 1).reshape(rows, columns, 3)
        height, width = grid.image_size
        scale = min(1.0, MAX_WIDTH / width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        large = cv2.resize(shades.astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
        return np.asarray((np.clip(large, 0, 1) * 255).astype(np.uint8))
