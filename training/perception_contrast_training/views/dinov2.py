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


class Dinov2Views(DinoViews):
    """As DINO's, and masks (2, patches) bool, true where the student is not shown the patch."""

    def __init__(self, settings: Dinov2ViewSettings, wanted: BackboneInput) -> None:
        super().__init__(settings, wanted)
        self._settings, self._side = settings, self.size // wanted.patch

    def also(self, chance: RandomSource) -> dict[str, Tensor]:
        return {"masks": torch.stack([self._mask(chance) for _ in range(2)])}

    def _mask(self, chance: RandomSource) -> Tensor:
        # Each view for itself, so that it depends on no other image of the batch.
        share = chance.uniform(*self._settings.ratio) if chance.happens(self._settings.masked) else 0.0
        return block_mask(self._side, self._side, int(share * self._side**2), chance).flatten()
