"""Exact resume: a run goes on from its last checkpoint as if it had never stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.config.schema import read_mapping
from perception_contrast_training.engine.checkpoint import Checkpoints, StoredSnapshot, load_into
from perception_contrast_training.engine.sharding import parted_as
from perception_contrast_training.engine.trainer import Trainer

RECIPE = "recipe.yaml"
CHECKPOINTS = "checkpoints"


def checkpoints_of(folder: Path, keep: int = 1) -> Checkpoints:
    """The checkpoints of a run's output folder, of which the last ``keep`` stay."""
    return Checkpoints(folder / CHECKPOINTS, keep)


def stored_recipe(folder: Path) -> dict[str, Any]:
    """What stands in the recipe of a run's output folder.

    Raises:
        PerceptionError: The folder holds no run.
    """
    if not (folder / RECIPE).is_file():
        raise PerceptionError(
            f"'{folder}' holds no run: it has no {RECIPE}; start one with `perception-contrast train run "
            f"--recipe RECIPE --set output={folder}`"
        )
    return read_mapping(folder / RECIPE)


def last_checkpoint(folder: Path) -> StoredSnapshot:
    """The last readable checkpoint of a run's output folder.

    Raises:
        PerceptionError: There is none.
    """
    found = checkpoints_of(folder).newest()
    if found is None:
        raise PerceptionError(f"'{folder}' has no checkpoint yet; start it with `train run`")
    return found


def restore(trainer: Trainer, stored: StoredSnapshot) -> None:
    """Brings a fresh trainer to where a checkpoint is: weights, centres, moments, averages, random numbers.

    Raises:
        CheckpointError: The checkpoint is of another method or recipe.
    """
    own = trainer.module.state_dict()
    load_into(trainer.module, parted_as(own, stored.snapshot.method), stored.path)
    trainer.resume(stored.snapshot)
