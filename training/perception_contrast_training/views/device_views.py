"""Views on the device that learns: workers decode and draw, the device does it to the pixels.

Chance is drawn where it always was, from the seed of each image's place: both ways make the same views, and a
resumed run goes on with them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from perception_contrast.core.errors import RecipeError
from perception_contrast_training.methods.base import Views
from perception_contrast_training.views import device_pixels as pixels
from perception_contrast_training.views.batch import DRAWS, SOURCES, VIEWED
from perception_contrast_training.views.draws import COLUMNS, Draws
from perception_contrast_training.views.planned_views import PlannedViews
from perception_contrast_training.views.view_transform import ViewTransform

Place = Literal["workers", "device"]
WORKERS: Place = "workers"
DEVICE: Place = "device"


class DrawnViews:
    """As ``PairedViews``, for the workers: images and draws in place of views."""

    def __init__(self, views: PlannedViews) -> None:
        self._views = views

    def __call__(
        self, image: Tensor, generator: torch.Generator, partner: Tensor | None = None
    ) -> dict[str, Tensor]:
        return self._views.draw(image, generator, partner)


class DeviceViews:
    """Makes the views of a batch of ``DrawnViews``."""

    def __init__(self, views: PlannedViews, device: torch.device) -> None:
        self._looks, self._device = views.looks, device

    @torch.no_grad()
    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """The batch with views in place of SOURCES (n, s, 3, h, w) and of draws (n, v, COLUMNS)."""
        sources: Tensor = batch[SOURCES].to(self._device, non_blocking=True)
        made: dict[str, Any] = {}
        for name, looks in self._looks.items():
            rows: Tensor = batch[DRAWS + name]
            views = [
                shown(look.transform, sources, rows[:, number].reshape(-1, COLUMNS))
                for number, look in enumerate(looks)
            ]
            made[name] = torch.stack(views) if name in VIEWED else views[0]
        rest = {
            name: value for name, value in batch.items() if name != SOURCES and not name.startswith(DRAWS)
        }
        return {**rest, **made}


def shown(look: ViewTransform, sources: Tensor, rows: Tensor) -> Tensor:
    """The views of one kind of all images.

    Args:
        look: The kind.
        sources: (n, s, 3, h, w) uint8 on the device.
        rows: (n, COLUMNS) of draws, on the CPU.

    Returns:
        (n, 3, size, size) float32, normalised, on the device.
    """
    draws = Draws(rows)
    own = sources[torch.arange(len(sources)), draws.shown] if sources.shape[1] > 1 else sources[:, 0]
    images = pixels.resized_crops(own, draws.boxes, draws.flip, look.size, look.interpolation)
    for turn in range(4):
        for which, changed in enumerate(look.changed):
            chosen = (draws.jitter & (draws.order[:, turn] == which)).nonzero().flatten()
            if changed and len(chosen):
                amounts = draws.colours[chosen, which]
                images[chosen] = pixels.adjusted(images[chosen], which, amounts)
    if len(chosen := draws.grey.nonzero().flatten()):
        images[chosen] = pixels.grey(images[chosen])
    if len(chosen := (draws.sigma > 0).nonzero().flatten()):
        images[chosen] = pixels.blurred(images[chosen], look.kernel, draws.sigma[chosen])
    if len(chosen := draws.solarise.nonzero().flatten()):
        images[chosen] = pixels.solarised(images[chosen])
    return pixels.normalised(images, look.wanted.mean, look.wanted.std)


def place_of_views(asked: str, views: Any, device: torch.device, *, begun: bool) -> Place:
    """Where the views of a run are made.

    Args:
        asked: ``data.views`` of its recipe.
        views: What the method sees.
        device: That it learns on.
        begun: Whether the run goes on; one that says nothing began before there was a choice.

    Returns:
        WORKERS or DEVICE.

    Raises:
        RecipeError: The device is asked for, and the views are of another kind.
    """
    planned = isinstance(views, PlannedViews)
    if asked == DEVICE and not planned:
        raise RecipeError(
            f"'data.views' device: {type(views).__name__} can only be made by workers, because it is no "
            "PlannedViews; leave data.views out"
        )
    if asked == WORKERS:
        return WORKERS
    if asked == DEVICE:
        return DEVICE
    return DEVICE if planned and device.type == "cuda" and not begun else WORKERS


def drawn(views: Views) -> DrawnViews:
    """Draws of planned views, for the workers."""
    assert isinstance(views, PlannedViews)
    return DrawnViews(views)


def made_on_device(
    feed: Iterator[dict[str, Any]], views: Views, device: torch.device
) -> Iterator[dict[str, Any]]:
    """Batches of ``DrawnViews`` with their views."""
    assert isinstance(views, PlannedViews)
    make = DeviceViews(views, device)
    return (make(batch) for batch in feed)
