"""A run in its output folder: recipe, checkpoints and journals around the training loop."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from perception_contrast.core.cache import atomic_write
from perception_contrast.core.errors import one_line
from perception_contrast_training.config.run_settings import CheckpointSettings
from perception_contrast_training.engine.checkpoint import StoredSnapshot
from perception_contrast_training.engine.journal import Journal, journals, progress_journal
from perception_contrast_training.engine.resume import RECIPE, checkpoints_of, restore
from perception_contrast_training.engine.run_events import FAILED, RunEvents
from perception_contrast_training.engine.trackers import Logger, tracker_journals
from perception_contrast_training.engine.trainer import Trainer
from perception_contrast_training.engine.training_loop import (
    EndReason,
    Export,
    LoopComponents,
    Probe,
    TrainingLoop,
)
from perception_contrast_training.monitors.watch import Watcher

Feed = Iterator[Mapping[str, Any]]


@dataclass(frozen=True)
class RunOutput:
    """Where a run writes, and what it notes.

    Attributes:
        folder: The output folder.
        recipe: The settled recipe as plain YAML values, written to ``recipe.yaml``.
        checkpoints: How often they are written and how many stay.
        tensorboard: Whether event files are written.
        loggers: Experiment trackers that get the figures too.
        about: What every checkpoint notes, as JSON holds it.
    """

    folder: Path
    recipe: Mapping[str, Any]
    checkpoints: CheckpointSettings
    tensorboard: bool = False
    loggers: Sequence[Logger] = ()
    about: Mapping[str, Any] = field(default_factory=dict)


def run_training(
    trainer: Trainer,
    output: RunOutput,
    feed: Callable[[int], Feed],
    stored: StoredSnapshot | None = None,
    *,
    watcher: Watcher | None = None,
    probe: Probe | None = None,
    probe_every: int = 0,
    export: Export | None = None,
    unreadable: Collection[str] = (),
    held_out_unreadable: Collection[str] = (),
) -> EndReason:
    """Runs a trainer to its end: pretraining, the alignment head and the rescoring head alike.

    Args:
        trainer: A fresh trainer.
        output: Where the run writes.
        feed: Gives batches from a number on.
        stored: The checkpoint to go on from, None to start.
        watcher: Monitors.
        probe: Figures on held-out images.
        probe_every: Steps between two probes.
        export: Writes what lies beside the checkpoints, before each of them.
        unreadable: As of ``LoopComponents``.
        held_out_unreadable: As of ``LoopComponents``.

    Raises:
        PerceptionError: As ``TrainingLoop.run`` and ``resume.restore`` do.
    """
    first, steps = trainer.processes.first, trainer.settings.steps
    if stored is not None:
        restore(trainer, stored)
    elif first:
        text = yaml.safe_dump(dict(output.recipe), sort_keys=False, allow_unicode=True)
        atomic_write(output.folder / RECIPE, text.encode())
    with progress_journal(steps, trainer.step_count, shown=first) as shown:
        written: list[Journal] = []
        if first:
            tensorboard = output.tensorboard or "tensorboard" in output.loggers
            written += tracker_journals(output.folder, output.loggers, output.recipe)
            written += journals(output.folder, trainer.step_count, trainer.batches, tensorboard=tensorboard)
        components = LoopComponents(
            feed=feed(trainer.batches),
            checkpoints=checkpoints_of(output.folder, output.checkpoints.keep),
            settings=output.checkpoints,
            journals=[*written, shown],
            watcher=watcher,
            probe=probe,
            probe_every=probe_every,
            export=export,
            unreadable=unreadable,
            held_out_unreadable=held_out_unreadable,
            about=output.about,
            events=RunEvents(output.folder) if first else None,
        )
        try:
            return _run_noted(TrainingLoop(trainer, components), resumed=stored is not None)
        finally:
            for journal in components.journals:
                journal.close()


def _run_noted(loop: TrainingLoop, *, resumed: bool) -> EndReason:
    """Runs the loop; its events tell when and how it began and ended."""
    events, trainer = loop.components.events, loop.trainer
    if events is None:
        return loop.run()
    events.note_begin(trainer.step_count, trainer.settings.steps, resumed=resumed)
    try:
        ended = loop.run()
    except BaseException as error:
        events.note(FAILED, trainer.step_count, text=one_line(error))
        raise
    events.note(ended, trainer.step_count)
    return ended
