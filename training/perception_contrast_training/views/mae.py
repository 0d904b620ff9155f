"""MAE's view: a crop, and which of its patches are hidden (He et al. 2022)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from perception_contrast_training.views.planned_views import Look, PlannedViews
from perception_contrast_training.views.random_source import RandomSource
from perception_contrast_training.views.view_transform import BackboneInput, ViewTransform


@dataclass(frozen=True)
class MaeViewSettings:
    """area: shares of the image that a crop has. flip: probability."""

    area: tuple[float, float] = (0.2, 1.0)
    flip: float = 0.5


class MaeViews(PlannedViews):
    """image (3, size, size), noise (patches,) in [0, 1): patches of least noise are seen."""

    def __init__(self, settings: MaeViewSettings, wanted: BackboneInput) -> None:
        size = wanted.size_of(0)
        look = ViewTransform(size, settings.area, wanted, flip=settings.flip, jitter=0.0, grey=0.0)
        self._patches = (size // wanted.patch) ** 2
        super().__init__({"image": (Look(look),)})

    def also(self, chance: RandomSource) -> dict[str, Tensor]:
        return {"noise": torch.rand(self._patches, generator=chance.generator)}
