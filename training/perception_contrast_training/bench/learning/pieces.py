"""A fixed number of steps, made in as many pieces as there is time for."""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perception_contrast_training.config.run_settings import Optimisation
from perception_contrast_training.data.datasets.samples import Images
from perception_contrast_training.data.loading.batches import batches
from perception_contrast_training.data.loading.order import Order
from perception_contrast_training.engine.resume import checkpoints_of, restore
from perception_contrast_training.engine.trainer import Trainer
from perception_contrast_training.evaluation.progress import tracked
from perception_contrast_training.methods.base import Method

CHECKPOINT_SECONDS = 60.0  # of work that an interruption may cost


class OutOfTimeError(Exception):
    """The time of this piece is over; what was done lies on the disk."""


@dataclass(frozen=True)
class Deadline:
    """A time of ``time.monotonic`` after which no step begins; infinite for none."""

    moment: float = float("inf")

    @classmethod
    def after(cls, minutes: float) -> Deadline:
        return cls(time.monotonic() + 60 * minutes)

    def check(self) -> None:
        """Raises OutOfTimeError once the moment has passed."""
        if time.monotonic() > self.moment:
            raise OutOfTimeError


@dataclass(frozen=True)
class Steps:
    """What every cell gets alike: AdamW for all, so that what differs is the method alone."""

    count: int
    batch: int
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    clip: float = 3.0

    def optimisation(self) -> Optimisation:
        return Optimisation(
            steps=self.count, batch=self.batch, learning_rate=self.learning_rate, scaling="fixed",
            warm_up=max(1, self.count // 10), weight_decay=self.weight_decay, clip=self.clip,
        )  # fmt: skip


@dataclass(frozen=True)
class Work:
    """Where a cell keeps what it has done, and how long it may go on.

    Attributes:
        folder: Of its checkpoints, deleted by ``finish``.
        deadline: Of this piece.
        tell: Told the steps that are done, at each checkpoint.
    """

    folder: Path
    deadline: Deadline
    tell: Callable[[int], None] = lambda done: None

    def finish(self) -> None:
        """The checkpoints are needed no more."""
        shutil.rmtree(self.folder, ignore_errors=True)


def train(
    method: Method, views: Any, learned: Images, seed: int, what: str, steps: Steps, work: Work
) -> dict[str, float]:
    """Trains from where an earlier piece stopped, to the same bits as in one piece.

    Returns:
        Of the processor's time, which other work on the machine hardly touches: "images per second" of a
        step without the making of views, by its median, and "seconds" of all steps.

    Raises:
        OutOfTimeError: The deadline came first; the steps that are done are kept.
    """
    order = Order(len(learned), steps.batch, seed)
    trainer = Trainer(method, steps.optimisation(), epoch_steps=order.pass_batches, seed=seed)
    kept, times = checkpoints_of(work.folder), list[float]()
    if (stored := kept.newest()) is not None:
        restore(trainer, stored)
        times = list(stored.snapshot.about["times"])
    source, saved = batches(learned, views, order, start=trainer.batches), time.monotonic()

    def save() -> None:
        kept.write(trainer.snapshot(times=[round(one, 4) for one in times]))
        work.tell(trainer.step_count)

    try:
        for _ in tracked(range(trainer.step_count, steps.count), what, steps.count - trainer.step_count):
            work.deadline.check()
            drawn, started = next(source), time.process_time()
            trainer.step(drawn)
            times.append(time.process_time() - started)
            if time.monotonic() - saved > CHECKPOINT_SECONDS:
                save()
                saved = time.monotonic()
    finally:
        # Ctrl-C may have come within a step, whose half nobody wants.
        if len(times) == trainer.batches:
            save()
    # The middle one: the first ones take memory.
    return {"images per second": steps.batch / statistics.median(times), "seconds": sum(times)}
