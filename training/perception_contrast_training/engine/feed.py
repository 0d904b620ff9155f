"""Batches of a run, whose views the workers make or the device that learns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from perception_contrast_training.config.pretraining_recipe import DataSettings
from perception_contrast_training.data.datasets.samples import Images
from perception_contrast_training.data.loading.batches import batches
from perception_contrast_training.data.loading.order import Order
from perception_contrast_training.data.pairs.positive_pairs import PositivePairs
from perception_contrast_training.engine.distributed import Processes
from perception_contrast_training.methods.base import Views
from perception_contrast_training.views.device_views import DEVICE, drawn


def loaded(
    images: Images,
    views: Views,
    order: Order,
    settings: DataSettings,
    processes: Processes,
    start: int = 0,
    positives: PositivePairs | None = None,
) -> Iterator[dict[str, Any]]:
    """This process's share of the batches from number ``start`` on, as the workers give them.

    Args:
        images: To learn from.
        views: What the method sees.
        order: Of the images.
        settings: Of the recipe; ``views`` is "workers" or "device", for which batches hold draws.
        processes: Those that train together.
        start: Number of the first batch.
        positives: Pairs of frames.
    """
    return batches(
        images,
        drawn(views) if settings.views == DEVICE else views,
        order,
        start=start,
        rank=processes.rank,
        processes=processes.count,
        workers=settings.workers,
        pinned=processes.device.type == "cuda",
        positives=positives,
    )
