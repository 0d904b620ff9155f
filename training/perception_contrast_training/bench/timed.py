"""A fixed budget of steps, and how long one takes."""

from __future__ import annotations

import statistics
import time
from typing import Any

from perception_contrast_training.config.run_settings import Optimisation
from perception_contrast_training.data.datasets.samples import Images
from perception_contrast_training.data.loading.batches import batches
from perception_contrast_training.data.loading.order import Order
from perception_contrast_training.engine.trainer import Trainer
from perception_contrast_training.evaluation.progress import tracked
from perception_contrast_training.methods.base import Method


def trained_rate(
    method: Method, views: Any, learned: Images, seed: int, what: str, *,
    steps: int, batch: int, learning_rate: float, clip: float,
) -> float:  # fmt: skip
    """Trains ``method`` by AdamW; images a second, without the making of views."""
    order = Order(len(learned), batch, seed)
    optimisation = Optimisation(
        steps=steps, batch=batch, learning_rate=learning_rate, scaling="fixed",
        warm_up=max(1, steps // 10), weight_decay=0.05, clip=clip,
    )  # fmt: skip
    trainer = Trainer(method, optimisation, epoch_steps=order.pass_batches, seed=seed)
    source, times = batches(learned, views, order), []
    for _ in tracked(range(steps), what, steps):
        drawn = next(source)
        started = time.perf_counter()
        trainer.step(drawn)
        times.append(time.perf_counter() - started)
    # The middle one: other work on the machine makes some steps slow, and the first ones take memory.
    return batch / statistics.median(times)
