"""DINOv2's views: DINO's multi-crop, and masks over the large ones (Oquab et al. 2023)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from perception_contrast_training.views.dino import DinoViews, DinoViewSettings
from perception_contrast_training.views.masks import block_mask
from perception_contrast_training.views.random_source import RandomSource
from perception_contrast_training.views.view_transform import BackboneInput


@dataclass(frozen=True)
class Dinov2ViewSettings(DinoViewSettings):
    """masked: probability that a large view is masked at all. ratio: smallest and largest share of its
    patches that are hidden then."""

    area: tuple[float, float] = (0.32, 1.0)
    local_area: tuple[float, float] = (0.05, 0.32)
    masked: float = 0.5
    ratio: tuple[float, float] = (0.1, 0.5)


class Dinov2Views:
    """As DINO's, and masks (2, patches) bool, true where the student is not shown the patch."""

    def __init__(self, settings: Dinov2ViewSettings, wanted: BackboneInput) -> None:
        self._settings, self._crops = settings, DinoViews(settings, wanted)
        self._side = self._crops.size // wanted.patch

    def __call__(
        self, image: Tensor, generator: torch.Generator, partner: Tensor | None = None
    ) -> dict[str, Tensor]:
        """partner: as DINO's."""
        made, chance = self._crops(image, generator, partner), RandomSource(generator)
        return {**made, "masks": torch.stack([self._mask(chance) for _ in range(2)])}

    def _mask(self, chance: RandomSource) -> Tensor:
        # Each view for itself, so that it depends on no other image of the batch.
        share = chance.uniform(*self._settings.ratio) if chance.happens(self._settings.masked) else 0.0
        return block_mask(self._side, self._side, int(share * self._side**2), chance).flatten()
