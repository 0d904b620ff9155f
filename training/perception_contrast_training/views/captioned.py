"""The view of an image whose words must stay true: nearly all of it (Radford et al. 2021; open_clip)."""

from __future__ import annotations

from dataclasses import dataclass

from perception_contrast_training.views.planned_views import Look, PlannedViews
from perception_contrast_training.views.view_transform import BackboneInput, ViewTransform


@dataclass(frozen=True)
class CaptionedViewSettings:
    """size: pixels of a side, 0 for the backbone's. area: shares of the image. flip: 0, for captions say
    left and right."""

    size: int = 0
    area: tuple[float, float] = (0.9, 1.0)
    flip: float = 0.0


class CaptionedViews(PlannedViews):
    """image (3, size, size)."""

    def __init__(self, settings: CaptionedViewSettings, wanted: BackboneInput) -> None:
        size = wanted.size_of(settings.size)
        look = ViewTransform(size, settings.area, wanted, flip=settings.flip, jitter=0.0, grey=0.0)
        super().__init__({"image": (Look(look),)})
