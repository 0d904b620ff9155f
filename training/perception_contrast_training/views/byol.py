"""BYOL's two views, of two kinds (Grill et al. 2020, appendix B)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from perception_contrast_training.views.pixels import tenth
from perception_contrast_training.views.random_source import RandomSource
from perception_contrast_training.views.view_transform import BackboneInput, ViewTransform, shown_by


@dataclass(frozen=True)
class ByolViewSettings:
    """As SimCLR's. blur, solarise: probabilities in the first and the second view."""

    size: int = 0
    area: tuple[float, float] = (0.08, 1.0)
    flip: float = 0.5
    hue: float = 0.1
    grey: float = 0.2
    blur: tuple[float, float] = (1.0, 0.1)
    solarise: tuple[float, float] = (0.0, 0.2)


class ByolViews:
    """views (2, 3, size, size)."""

    def __init__(self, settings: ByolViewSettings, wanted: BackboneInput) -> None:
        size = wanted.size_of(settings.size)
        first = ViewTransform(
            size,
            settings.area,
            wanted,
            flip=settings.flip,
            brightness=0.4,
            contrast=0.4,
            saturation=0.2,
            hue=settings.hue,
            grey=settings.grey,
            kernel=tenth(size),
        )
        self._looks = [
            replace(first, blur=blur, solarise=solarise)
            for blur, solarise in zip(settings.blur, settings.solarise, strict=True)
        ]

    def __call__(
        self, image: Tensor, generator: torch.Generator, partner: Tensor | None = None
    ) -> dict[str, Tensor]:
        """partner: what the second view shows, if not the image."""
        chance = RandomSource(generator)
        shown = zip(self._looks, shown_by(image, partner), strict=True)
        return {"views": torch.stack([look.of(one, chance) for look, one in shown])}
