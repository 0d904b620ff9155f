"""SimCLR's two views (Chen et al. 2020, appendix A)."""

from __future__ import annotations

from dataclasses import dataclass

from perception_contrast_training.views.pixels import tenth
from perception_contrast_training.views.planned_views import Look, PlannedViews
from perception_contrast_training.views.view_transform import BackboneInput, ViewTransform


@dataclass(frozen=True)
class SimclrViewSettings:
    """size: pixels of a side, 0 for the backbone's. strength: of colour changes, 1.0 for ImageNet, 0.5 for
    CIFAR-10. area: smallest and largest share of a crop. flip: probability; 0 where words speak of left and
    right. hue: of the colour changes, 0 where words name colours. blur: probability, 0 for CIFAR-10."""

    size: int = 0
    strength: float = 1.0
    area: tuple[float, float] = (0.08, 1.0)
    flip: float = 0.5
    hue: float = 0.2
    grey: float = 0.2
    blur: float = 0.5


class SimclrViews(PlannedViews):
    """views (2, 3, size, size)."""

    def __init__(self, settings: SimclrViewSettings, wanted: BackboneInput) -> None:
        size, strength = wanted.size_of(settings.size), settings.strength
        look = ViewTransform(
            size,
            settings.area,
            wanted,
            flip=settings.flip,
            brightness=0.8 * strength,
            contrast=0.8 * strength,
            saturation=0.8 * strength,
            hue=settings.hue * strength,
            grey=settings.grey,
            blur=settings.blur,
            kernel=tenth(size),
        )
        super().__init__({"views": (Look(look), Look(look, partner=True))})
