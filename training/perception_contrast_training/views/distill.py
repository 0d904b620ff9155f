"""The view of an image that a student and its teachers see: one of a few crops, the same in each pass.

Both see the same crop (Beyer et al., "Knowledge distillation: A good teacher is patient and consistent", CVPR
2022), which follows from the image and a small number alone, so that features of teachers can be kept.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as tv

from perception_contrast_training.views.observer import SOURCE, tell
from perception_contrast_training.views.pixels import (
    Range,
    crop_box,
    cropped,
    flipped,
    normalised,
    to_float,
)
from perception_contrast_training.views.random_source import RandomSource
from perception_contrast_training.views.view_transform import BackboneInput

WHOLE: Range = (1.0, 1.0)


@dataclass(frozen=True)
class DistillViewSettings:
    """size: pixels of a side for the student, 0 for the backbone's. teacher_size: for the teachers, 0 for
    the same; each takes the nearest multiple of its patch. crops: how many different views an image has; the
    first one is the whole image (of one wider than 4 to 3 its middle), the others are random. area:
    shares of the image that random crops have. flip: probability."""

    size: int = 0
    teacher_size: int = 0
    crops: int = 4
    area: tuple[float, float] = (0.3, 1.0)
    flip: float = 0.5


class DistillViews:
    """image (3, size, size) float32, normalised, for the student; view (3, s, s) uint8 RGB for the teachers;
    view_id (2,) int64, which names that by its pixels."""

    def __init__(self, settings: DistillViewSettings, wanted: BackboneInput) -> None:
        self._settings, self._wanted = settings, wanted
        self._size = wanted.size_of(settings.size)
        self._shown = max(self._size, settings.teacher_size)

    def __call__(self, image: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        number = RandomSource(generator).integer(max(1, self._settings.crops))
        own = torch.Generator().manual_seed(_digest(image, number))
        chance = RandomSource(own)
        tell(SOURCE, image)
        area = self._settings.area if number else WHOLE
        view = cropped(image, crop_box(image.shape[-2], image.shape[-1], area, chance), self._shown)
        view = flipped(view, chance.happens(self._settings.flip if number else 0.0)).contiguous()
        seen = view
        if self._size != self._shown:
            sides = [self._size, self._size]
            seen = tv.resize(view, sides, InterpolationMode.BICUBIC, antialias=True)
        digest = hashlib.blake2b(view.numpy().tobytes(), digest_size=16).digest()
        return {
            "image": normalised(to_float(seen), self._wanted.mean, self._wanted.std),
            "view": view,
            "view_id": torch.from_numpy(np.frombuffer(digest, "<i8").astype(np.int64)),
        }


def view_names(ids: Tensor) -> list[str]:
    """Names of the views whose ``view_id`` are (n, 2), 32 hexadecimal digits each."""
    return [row.astype("<i8").tobytes().hex() for row in ids.cpu().numpy()]


def _digest(image: Tensor, number: int) -> int:
    found = hashlib.blake2b(
        image.contiguous().numpy().tobytes(), digest_size=8, salt=number.to_bytes(8, "little")
    )
    return int.from_bytes(found.digest(), "little") >> 1
