"""BYOL's two views, of two kinds (Grill et al. 2020, appendix B)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from perception_contrast_training.views.pixels import tenth
from perception_contrast_training.views.planned_views import Look, PlannedViews
from perception_contrast_training.views.view_transform import BackboneInput, ViewTransform


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


class ByolViews(PlannedViews):
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
        one, other = (
            replace(first, blur=blur, solarise=solarise)
            for blur, solarise in zip(settings.blur, settings.solarise, strict=True)
        )
        super().__init__({"views": (Look(one), Look(other, partner=True))})
