"""Vectors that tell whether two frames show the same, of an encoder or of thumbnails."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from perception_contrast_training.data.bags.image_measures import thumbnail_descriptor, thumbnail_of
from perception_contrast_training.data.bags.options import THUMBNAIL

Image = NDArray[np.uint8]
_SIDE = 224


class Descriptor(Protocol):
    """space: identity of the vectors' space. Gives unit vectors (n, c) float32 of images (H, W, 3)."""

    space: str

    def __call__(self, images: Sequence[Image]) -> NDArray[np.float32]: ...


class ThumbnailDescriptor:
    """Contrast and colour of 16 x 16 parts: costs nothing, notices what moved in the image."""

    space = THUMBNAIL

    def __call__(self, images: Sequence[Image]) -> NDArray[np.float32]:
        return thumbnail_descriptor(np.stack([thumbnail_of(image) for image in images]))


class EncoderDescriptor:
    """The class token of an encoder at 224 x 224 (multiples of the patch). Raises ModelError."""

    def __init__(self, model: str, device: str = "auto", offline: bool = False) -> None:
        import torch

        from perception_contrast.encoders.dinov2 import load_dino

        cuda = device == "auto" and torch.cuda.is_available()
        self._device = "cuda" if cuda else "cpu" if device == "auto" else device
        self._tower = load_dino(model, device=self._device, offline=offline)
        self.space = self._tower.space
        side = max(1, round(_SIDE / self._tower.patch)) * self._tower.patch
        self._size = (side, side)

    def __call__(self, images: Sequence[Image]) -> NDArray[np.float32]:
        import torch
        import torch.nn.functional as F

        from perception_contrast.preprocessing.to_tensor import image_tensor

        tower = self._tower
        batch = torch.cat([image_tensor(one, self._size, tower.mean, tower.std) for one in images])
        with torch.inference_mode():
            cls = F.normalize(tower(batch.to(self._device)).cls.float(), dim=-1)
        found: NDArray[np.float32] = cls.cpu().numpy()
        return found


def load_descriptor(name: str, device: str = "auto", offline: bool = False) -> Descriptor:
    """name: "thumbnail", or an encoder's. Raises ModelError for an unknown one."""
    return ThumbnailDescriptor() if name == THUMBNAIL else EncoderDescriptor(name, device, offline)
