"""A run in its output folder: recipe, checkpoints and journals around the training loop."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from perception_contrast.core.cache import atomic_write
from perception_contrast_training.config.run_settings import CheckpointSettings
from perception_contrast_training.engine.checkpoint import StoredSnapshot
from perception_contrast_training.engine.journal import journals, progress_journal
from perception_contrast_training.engine.resume import RECIPE, checkpoints_of, restore
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
        about: What every checkpoint notes, as JSON holds it.
    """

    folder: Path
    recipe: Mapping[str, Any]
    checkpoints: CheckpointSettings
    tensorboard: bool = False
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
        probe: Figures on held-out images, every ``probe_every`` steps.
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
        written = (
            journals(output.folder, trainer.step_count, trainer.batches, tensorboard=output.tensorboard)
            if first
            else []
        )
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
        )
        try:
            return TrainingLoop(trainer, components).run()
        finally:
            for journal in components.journals:
                journal.close()
