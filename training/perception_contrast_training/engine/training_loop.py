"""The training loop of every run: batches, steps, monitors, log, checkpoints, Ctrl-C."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Literal

import torch

from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.config.run_settings import CheckpointSettings
from perception_contrast_training.data.loading.batches import PARTNERED, UNREADABLE, UNREADABLE_FILES
from perception_contrast_training.engine.checkpoint import CheckpointError, Checkpoints
from perception_contrast_training.engine.distributed import all_lines, any_of
from perception_contrast_training.engine.journal import BATCHES, Journal
from perception_contrast_training.engine.run_events import ALARM, RunEvents
from perception_contrast_training.engine.trainer import Step, Trainer
from perception_contrast_training.monitors.collapse import Alarm
from perception_contrast_training.monitors.watch import Watcher

logger = logging.getLogger(__name__)

_NOT_LEARNED_FROM = (UNREADABLE, UNREADABLE_FILES, PARTNERED)
_NAMED = 50  # images that could not be read, of those that a run names at its end

EndReason = Literal["finished", "interrupted"]
Probe = Callable[[Trainer], Mapping[str, float]]
Export = Callable[[Trainer], None]
SELECTION_FIGURE = "held out"  # the figure of a probe that says which checkpoint is best


class CollapseError(PerceptionError):
    """A monitor stopped the run because of a collapse."""


@dataclass(frozen=True)
class LoopComponents:
    """The parts of a run besides its trainer.

    Attributes:
        feed: Batches from the trainer's position on.
        checkpoints: Where checkpoints are written.
        settings: How often checkpoints are written.
        journals: Where figures are written.
        watcher: Monitors; None for none.
        probe: Figures on held-out images, by name; ``SELECTION_FIGURE`` chooses the best checkpoint.
        probe_every: Steps between two probes.
        export: Writes what lies beside the checkpoints, before each of them.
        unreadable: A line for each file that was left out before the run began.
        held_out_unreadable: A line for each held-out image that the probe could not read; it grows.
        about: What every checkpoint notes besides the run's state, as JSON can hold it.
        events: Where alarms are noted; None in all processes except the first.
    """

    feed: Iterator[Mapping[str, Any]]
    checkpoints: Checkpoints
    settings: CheckpointSettings
    journals: Sequence[Journal] = ()
    watcher: Watcher | None = None
    probe: Probe | None = None
    probe_every: int = 0
    export: Export | None = None
    unreadable: Collection[str] = ()
    held_out_unreadable: Collection[str] = ()
    about: Mapping[str, Any] = field(default_factory=dict)
    events: RunEvents | None = None


class _StopSignal:
    """Notes that somebody wants the run to end; the second time it ends at once."""

    def __init__(self) -> None:
        self.received = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.received:
            raise KeyboardInterrupt
        self.received = True
        logger.warning("stopping after this step and saving; once more to stop at once")


@contextmanager
def _interruptible() -> Iterator[_StopSignal]:
    """Catches Ctrl-C, and SIGTERM of a scheduler or torchrun, in the main thread alone."""
    stop = _StopSignal()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    old = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


class TrainingLoop:
    """Runs the steps of a trainer until the end. At the end it writes a checkpoint, however the end comes.

    Args:
        trainer: The trainer.
        components: The other parts of the run.
    """

    def __init__(self, trainer: Trainer, components: LoopComponents) -> None:
        self.trainer, self.components = trainer, components
        self._first = trainer.processes.first
        self._unreadable = 0
        self._unreadable_files: dict[str, None] = dict.fromkeys(components.unreadable)
        self._losses: list[float] = []
        self._held_out: float | None = None
        self._saved = -1
        self._alarm: str | None = None

    def run(self) -> EndReason:
        """Runs steps until the run is finished or interrupted.

        Returns:
            "finished" or "interrupted".

        Raises:
            DivergedError: Too many consecutive steps were not finite.
            CollapseError: A monitor stopped the run.
            CheckpointError: A checkpoint cannot be written, and ``disk_full`` is "stop".
        """
        try:
            return self._run()
        finally:
            self._tell_unreadable()

    def _run(self) -> EndReason:
        trainer = self.trainer
        with _interruptible() as stop:
            while not trainer.finished:
                step = self._step()
                stopped, collapsed = any_of([stop.received, self._alarm is not None], trainer.processes)
                if stopped:
                    self._share_unreadable()
                    self._save()
                    return "interrupted"
                if collapsed:
                    self._share_unreadable()
                    self._save()
                    raise CollapseError(self._alarm or "a monitor of another process stopped the run")
                if step.moved and trainer.step_count % self.components.settings.every == 0:
                    self._save()
        self._share_unreadable()
        self._save()
        return "finished"

    def _share_unreadable(self) -> None:
        """Before saving, which may fail in the first process alone while the others wait for it."""
        lines = all_lines(self._unreadable_files, self.trainer.processes)
        self._unreadable_files = dict.fromkeys(lines)

    def _tell_unreadable(self) -> None:
        """Names the images that were left out: of all processes, unless the run broke in one of them."""
        lines = [
            *self._unreadable_files,
            *(f"{line} (kept back)" for line in self.components.held_out_unreadable),
        ]
        if not self._first or not lines:
            return
        logger.warning("%d image(s) could not be read and were left out:", len(lines))
        for line in lines[:_NAMED]:
            logger.warning("  %s", line)
        if len(lines) > _NAMED:
            logger.warning("  and %d more", len(lines) - _NAMED)

    def _step(self) -> Step:
        started = time.monotonic()
        batch = next(self.components.feed)
        waited = time.monotonic() - started
        self._unreadable += _sum(batch, UNREADABLE)
        for lines in batch.get(UNREADABLE_FILES, ()):
            self._unreadable_files.update(dict.fromkeys(lines.splitlines()))
        step = self.trainer.step({n: v for n, v in batch.items() if n not in _NOT_LEARNED_FROM})
        took = time.monotonic() - started
        figures = dict(step.figures)
        if step.moved:
            self._losses.append(figures["loss"])
            figures |= self._monitored(step) | self._probed()
        figures |= {
            "images per second": self.trainer.settings.batch / max(took, 1e-9),
            "share of time waiting for data": waited / max(took, 1e-9),
            BATCHES: float(self.trainer.batches),
            "skipped batches": float(self.trainer.skipped),
            "unreadable images": float(self._unreadable),
        } | _memory(self.trainer.processes.device)
        if PARTNERED in batch:
            figures["share with a partner"] = float(torch.as_tensor(batch[PARTNERED]).double().mean())
        if self._first:
            for journal in self.components.journals:
                journal.note(step.step, figures)
        return step

    def _probed(self) -> dict[str, float]:
        """Figures on held-out images, where they are due."""
        probe, every, trainer = self.components.probe, self.components.probe_every, self.trainer
        if probe is None or every <= 0 or not (trainer.step_count % every == 0 or trainer.finished):
            return {}
        with trainer.evaluated():
            found = dict(probe(trainer))
        self._held_out = found.get(SELECTION_FIGURE, self._held_out)
        return {f"held out/{name}" if name != SELECTION_FIGURE else name: v for name, v in found.items()}

    def _monitored(self, step: Step) -> dict[str, float]:
        watcher = self.components.watcher
        if watcher is None:
            return {}
        figures, alarms = watcher.look(step)
        for alarm in alarms:
            self._raise(alarm, watcher)
        return figures

    def _raise(self, alarm: Alarm, watcher: Watcher) -> None:
        if self._first:
            logger.warning("step %d: %s", self.trainer.step_count, alarm.text)
            if self.components.events is not None:
                self.components.events.note(ALARM, self.trainer.step_count, kind=alarm.kind, text=alarm.text)
        if watcher.settings.alarms == "stop" and alarm.stops and self._alarm is None:
            self._alarm = f"step {self.trainer.step_count}: {alarm.text}. A checkpoint was saved; " + (
                "monitors.alarms=warn lets such a run go on"
            )

    def _save(self) -> None:
        """Best is what the probe says; without one, the smallest mean loss since the last checkpoint."""
        trainer = self.trainer
        if trainer.step_count == self._saved:
            return
        figure = self._held_out
        if figure is None and not self.components.probe and self._losses:
            figure = -sum(self._losses) / len(self._losses)
        self._losses.clear()
        self._saved = trainer.step_count
        if not self._first:
            if trainer.sharded:
                trainer.snapshot()
            return
        snapshot = trainer.snapshot(**self.components.about)
        try:
            if self.components.export:
                self.components.export(trainer)
            self.components.checkpoints.write(snapshot, figure)
        except (CheckpointError, OSError) as error:
            if self.components.settings.disk_full == "stop" or trainer.finished:
                raise
            every, left = self.components.settings.every, trainer.settings.steps - trainer.step_count
            wait = min(every - trainer.step_count % every, left)
            logger.error("%s. Going on; the next try is in %d steps", error, wait)
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
