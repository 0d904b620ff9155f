"""FeatureGrid: the dense features of one image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from perception_contrast.core.arrays import FeatureArray, FloatArray, Size
from perception_contrast.core.grid_to_image import GridToImage


@dataclass(frozen=True)
class FeatureGrid:
    """Dense features of one image.

    Attributes:
        values: (h, w, c) float32 or float16.
        model: Name of the model that made them.
        space: Identity of their embedding space, as ``space_name`` gives it.
        grid_to_image: The map from cell centres to pixels of the source image.
        image_size: (height, width) of the source image.
        normalized: Whether each vector has unit L2 norm.
    """

    values: FeatureArray
    model: str
    space: str
    grid_to_image: GridToImage
    image_size: Size
    normalized: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        """(rows, columns, channels)."""
        h, w, c = self.values.shape
        return int(h), int(w), int(c)

    def unit(self) -> FeatureGrid:
        """Normalises each vector to unit L2 norm; a zero vector stays zero.

        Returns:
            A grid of float32 values, or this grid if it is normalised already.
        """
        return self if self.normalized else self._unit

    @cached_property
    def _unit(self) -> FeatureGrid:
        return replace(self, values=unit_vectors(self.values), normalized=True)


def unit_vectors(values: FeatureArray) -> FloatArray:
    """Normalises vectors.

    Args:
        values: (..., c) float16 or float32.

    Returns:
        (..., c) float32 with unit L2 norm per vector; a zero vector stays zero.
    """
    values = np.asarray(values, np.float32)
    norm = np.linalg.norm(values, axis=-1, keepdims=True)
    return np.asarray(values / np.maximum(norm, 1e-12), np.float32)
