"""A tiny run for tests of the training loop: its settings, batches and parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from tiny_methods import Colours, TinyContrast, TwoViews

from perception_contrast_training.config.run_settings import CheckpointSettings, Optimisation
from perception_contrast_training.data.loading.batches import batches
from perception_contrast_training.data.loading.order import Order
from perception_contrast_training.engine.checkpoint import Checkpoints, Snapshot, load_into
from perception_contrast_training.engine.journal import JsonLines
from perception_contrast_training.engine.trainer import Trainer
from perception_contrast_training.engine.training_loop import LoopComponents

QUICK = Optimisation(
    steps=12, batch=8, learning_rate=3e-3, scaling="fixed", warm_up=2, weight_decay=0.1, final_decay=0.2
)


def feed(order: Order, **options: Any) -> Iterator[dict[str, Any]]:
    return batches(Colours(), TwoViews(), order, **options)


def components(folder: Path, order: Order, trainer: Trainer, **options: Any) -> LoopComponents:
    return LoopComponents(
        feed=feed(order, start=trainer.batches),
        checkpoints=Checkpoints(folder, 2),
        settings=CheckpointSettings(every=5),
        journals=[JsonLines(folder / "log.jsonl", trainer.step_count, trainer.batches)],
        **options,
    )


LONG = replace(QUICK, steps=40)
ORDER = Order(64, 8, 3)


def fresh(settings: Any = LONG) -> Trainer:
    return Trainer(TinyContrast(), settings, epoch_steps=8, seed=5)


def same(a: Snapshot, b: Snapshot) -> bool:
    """Bit for bit: weights, statistics, teacher, moments, counters."""
    moments = [
        (x[name], y[name])
        for n, x in a.optimiser["state"].items()
        for y in [b.optimiser["state"][n]]
        for name in x
    ]
    return (
        a.method.keys() == b.method.keys()
        and all(torch.equal(a.method[name], b.method[name]) for name in a.method)
        and len(moments) > 0
        and all(torch.equal(torch.as_tensor(x), torch.as_tensor(y)) for x, y in moments)
        and (a.step, a.batches, a.skipped, a.scaler) == (b.step, b.batches, b.skipped, b.scaler)
    )


def resumed(folder: Path, settings: Any = LONG) -> Trainer:
    found = Checkpoints(folder, 2).newest()
    trainer = fresh(settings)
    if found is not None:
        load_into(trainer.module, found[1].method, found[0])
        trainer.resume(found[1])
    return trainer


@contextmanager
def after_each_step(trainer: Trainer, then: Callable[[int], None]) -> Iterator[None]:
    """Calls ``then`` with the number of each step of a trainer whose loop runs within the context."""
    handle = trainer.optimiser.register_step_post_hook(lambda *_: then(trainer.step_count + 1))
    try:
        yield
    finally:
        handle.remove()
