"""A run from its first or any later step to its end: batches, checkpoints, monitors, log, Ctrl-C."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any, Literal

import torch

from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.config.run_settings import CheckpointSettings
from perception_contrast_training.data.loading.batches import PARTNERED, UNREADABLE
from perception_contrast_training.engine.checkpoint import CheckpointError, Checkpoints
from perception_contrast_training.engine.distributed import any_of
from perception_contrast_training.engine.journal import Journal
from perception_contrast_training.engine.trainer import Step, Trainer
from perception_contrast_training.monitors.collapse import Alarm
from perception_contrast_training.monitors.watch import Watcher

logger = logging.getLogger(__name__)

Ended = Literal["finished", "interrupted", "alarm"]
Probe = Callable[[Trainer], Mapping[str, float]]
BETTER = "held out"  # the figure of a probe that says which checkpoint is best


class CollapseError(PerceptionError):
    """A monitor stopped the run."""


@dataclass(frozen=True)
class Parts:
    """What a run is made of beside its trainer. feed: batches from the trainer's position on.

    probe: figures on held-out images, by name; BETTER among them says how good the encoder is.
    """

    feed: Iterator[Mapping[str, Any]]
    checkpoints: Checkpoints
    settings: CheckpointSettings
    journals: Sequence[Journal] = ()
    watcher: Watcher | None = None
    probe: Probe | None = None
    probe_every: int = 0


class _Asked:
    """Whether somebody asked the run to end; the second time it ends at once."""

    def __init__(self) -> None:
        self.ended = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.ended:
            raise KeyboardInterrupt
        self.ended = True
        logger.warning("stopping after this step and saving; once more to stop at once")


@contextmanager
def _interruptible() -> Iterator[_Asked]:
    """Catches Ctrl-C and the end that a scheduler or torchrun asks for, in the main thread alone."""
    asked = _Asked()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    old = {number: signal.signal(number, asked) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


class RunLoop:
    """Steps a trainer until its end. A checkpoint is written at least there, however it comes."""

    def __init__(self, trainer: Trainer, parts: Parts) -> None:
        self.trainer, self.parts = trainer, parts
        self._first = trainer.processes.first
        self._unreadable = 0
        self._losses: list[float] = []
        self._held_out: float | None = None
        self._saved = -1
        self._alarm: str | None = None

    def go(self) -> Ended:
        """Raises DivergedError; CollapseError; CheckpointError where a full disk shall end a run."""
        trainer = self.trainer
        with _interruptible() as asked:
            while not trainer.finished:
                step = self._step()
                ended, collapsed = any_of([asked.ended, self._alarm is not None], trainer.processes)
                if ended:
                    self._save()
                    return "interrupted"
                if collapsed:
                    self._save()
                    raise CollapseError(self._alarm or "a monitor of another process stopped the run")
                if step.moved and trainer.step_count % self.parts.settings.every == 0:
                    self._save()
        self._save()
        return "finished"

    def _step(self) -> Step:
        started = time.monotonic()
        batch = next(self.parts.feed)
        waited = time.monotonic() - started
        self._unreadable += _sum(batch, UNREADABLE)
        step = self.trainer.step({n: v for n, v in batch.items() if n not in (UNREADABLE, PARTNERED)})
        took = time.monotonic() - started
        figures = dict(step.figures)
        if step.moved:
            self._losses.append(figures["loss"])
            figures |= self._looked_at(step)
            if self.parts.probe and self._due(self.parts.probe_every):
                found = dict(self.parts.probe(self.trainer))
                self._held_out = found.get(BETTER, self._held_out)
                figures |= {f"held out/{name}" if name != BETTER else name: v for name, v in found.items()}
        figures |= {
            "images per second": self.trainer.settings.batch / max(took, 1e-9),
            "share of time waiting for data": waited / max(took, 1e-9),
            "skipped batches": float(self.trainer.skipped),
            "unreadable images": float(self._unreadable),
        } | _memory(self.trainer.processes.device)
        if PARTNERED in batch:
            figures["share with a partner"] = float(torch.as_tensor(batch[PARTNERED]).double().mean())
        if self._first:
            for journal in self.parts.journals:
                journal.note(step.step, figures)
        return step

    def _due(self, every: int) -> bool:
        return every > 0 and (self.trainer.step_count % every == 0 or self.trainer.finished)

    def _looked_at(self, step: Step) -> dict[str, float]:
        watcher = self.parts.watcher
        if watcher is None:
            return {}
        figures, alarms = watcher.look(step)
        for alarm in alarms:
            self._raise(alarm, watcher)
        return figures

    def _raise(self, alarm: Alarm, watcher: Watcher) -> None:
        if self._first:
            logger.warning("step %d: %s", self.trainer.step_count, alarm.text)
        if watcher.settings.alarms == "stop":
            self._alarm = f"step {self.trainer.step_count}: {alarm.text}. A checkpoint was saved; " + (
                "monitors.alarms=warn lets such a run go on"
            )

    def _save(self) -> None:
        """Best is what the probe says; without one, the smallest mean loss since the last checkpoint."""
        trainer = self.trainer
        if trainer.step_count == self._saved:
            return
        figure = self._held_out
        if figure is None and not self.parts.probe and self._losses:
            figure = -sum(self._losses) / len(self._losses)
        self._losses.clear()
        self._saved = trainer.step_count
        if not self._first:
            return
        try:
            self.parts.checkpoints.write(trainer.snapshot(), figure)
        except CheckpointError as error:
            if self.parts.settings.disk_full == "stop" or trainer.finished:
                raise
            logger.error("%s. Going on; the next try is in %d steps", error, self.parts.settings.every)
        self._held_out = None


def _sum(batch: Mapping[str, Any], name: str) -> int:
    value = batch.get(name)
    return int(torch.as_tensor(value).sum()) if value is not None else 0


def _memory(device: torch.device) -> dict[str, float]:
    """MB: of the GPU's allocator at its peak, else of this process at its peak."""
    if device.type == "cuda":
        return {"memory MB": torch.cuda.max_memory_allocated(device) / 1e6}
    import resource

    return {"memory MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
