"""DINO's multi-crop: two large views and several small ones (Caron et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from perception_contrast_training.views.planned_views import Look, PlannedViews
from perception_contrast_training.views.view_transform import BackboneInput, ViewTransform

SHARE = 96 / 224  # side of a small view to that of a large one


@dataclass(frozen=True)
class DinoViewSettings:
    """size, local_size: pixels of a side, 0 for the backbone's and for the nearest to three sevenths of it.
    locals: how many small views. area, local_area: shares of the image. blur: probabilities in the two
    large views and in small ones. solarise: in the second one."""

    size: int = 0
    local_size: int = 0
    locals: int = 8
    area: tuple[float, float] = (0.4, 1.0)
    local_area: tuple[float, float] = (0.05, 0.4)
    flip: float = 0.5
    hue: float = 0.1
    grey: float = 0.2
    blur: tuple[float, float, float] = (1.0, 0.1, 0.5)
    solarise: float = 0.2


class DinoViews(PlannedViews):
    """globals (2, 3, size, size), the second of the partner, if there is one; locals (v, 3, local_size,
    local_size), missing where v is 0."""

    def __init__(self, settings: DinoViewSettings, wanted: BackboneInput) -> None:
        size = wanted.size_of(settings.size)
        near = max(1, round(size * SHARE / wanted.patch)) * wanted.patch
        local_size = wanted.size_of(settings.local_size or near, "local_size")
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
            blur=settings.blur[0],
        )
        second = replace(first, blur=settings.blur[1], solarise=settings.solarise)
        small = replace(first, size=local_size, area=settings.local_area, blur=settings.blur[2])
        self.size = size
        super().__init__(
            {
                "globals": (Look(first), Look(second, partner=True)),
                "locals": (Look(small),) * settings.locals,
            }
        )
