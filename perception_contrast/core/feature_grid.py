"""FeatureGrid: the dense features of one image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.frame import GridToImage

FloatArray = NDArray[np.float32] | NDArray[np.float16]

# Outputs of an encoder whose vectors have unit length.
UNIT_OUTPUTS = ("dense", "image", "grid", "picture")


@dataclass(frozen=True)
class FeatureGrid:
    """Dense features of one image.

    values: (h, w, c) float32 or float16. grid_to_image: cell centres to source pixels.
    image_size: (height, width) of the source image. normalized: unit L2 norm per vector.
    """

    values: FloatArray
    model: str
    space: str
    grid_to_image: GridToImage
    image_size: tuple[int, int]
    normalized: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        h, w, c = self.values.shape
        return int(h), int(w), int(c)

    def unit(self) -> FeatureGrid:
        """The same grid with unit L2 norm per vector; zero vectors stay zero."""
        return self if self.normalized else self._unit

    @cached_property
    def _unit(self) -> FeatureGrid:
        values = self.values.astype(np.float32)
        norm = np.linalg.norm(values, axis=-1, keepdims=True)
        return replace(self, values=values / np.maximum(norm, 1e-12), normalized=True)
