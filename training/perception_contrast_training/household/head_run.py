"""Fits a household head by the common training loop, and goes on with a fit that was interrupted."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.config.run_settings import CheckpointSettings
from perception_contrast_training.config.schema import plain
from perception_contrast_training.engine.checkpoint import StoredSnapshot
from perception_contrast_training.engine.resume import (
    RECIPE,
    checkpoints_of,
    last_checkpoint,
    stored_recipe,
)
from perception_contrast_training.engine.trainer import Trainer
from perception_contrast_training.engine.training_loop import Export
from perception_contrast_training.engine.training_run import RunOutput, run_training

logger = logging.getLogger(__name__)

HEAD_FILE = "head.safetensors"
# What a recipe says beside the fit: it may differ between an interrupted fit and the command that goes on.
BESIDE_THE_FIT = ("name", "output", "checkpoints", "calibration", "evaluation")
Recipe = TypeVar("Recipe", bound=Any)


@dataclass(frozen=True)
class HeadRun:
    """A fit of a head.

    Attributes:
        folder: The output folder.
        recipe: A head's recipe, its dataclass.
        inputs: What the head is fitted to beside the recipe (spaces, checksums), as JSON holds it.
        checkpoints: How often a checkpoint and the head's file are written.
        resume: Goes on with the run in the folder, whose recipe it is. Otherwise a fit of the same recipe and
            inputs goes on, and any other begins at the first step.
    """

    folder: Path
    recipe: Any
    inputs: Mapping[str, str]
    checkpoints: CheckpointSettings
    resume: bool = False

    def fit(
        self,
        trainer: Trainer,
        stored: StoredSnapshot | None,
        draw: Callable[[], Mapping[str, Any]],
        export: Export,
    ) -> None:
        """Runs a fresh trainer to its end.

        Args:
            trainer: With random streams, so that a resumed fit draws what would have come next.
            stored: The checkpoint to go on from, of ``checkpoint_to_resume``.
            draw: Draws the next batch.
            export: Writes the head's file.

        Raises:
            KeyboardInterrupt: The fit was interrupted; its last checkpoint is where it goes on.
            PerceptionError: As ``run_training`` does.
        """
        about = {"inputs": dict(self.inputs)}
        output = RunOutput(self.folder, plain(asdict(self.recipe)), self.checkpoints, about=about)
        ended = run_training(trainer, output, lambda _: _endless(draw), stored, export=export)
        if ended == "interrupted":
            logger.warning(
                "saved; the same command goes on, as does `perception-contrast train resume %s`", self.folder
            )
            raise KeyboardInterrupt

    def checkpoint_to_resume(self) -> StoredSnapshot | None:
        """The checkpoint to go on from, None to begin at the first step.

        Raises:
            PerceptionError: A run that is to be resumed has no checkpoint, or was fitted to other inputs.
        """
        if self.resume:
            stored = last_checkpoint(self.folder)
            if stored.snapshot.about.get("inputs") != dict(self.inputs):
                raise PerceptionError(
                    f"the run in '{self.folder}' was fitted to other inputs than are there now "
                    f"({stored.snapshot.about.get('inputs')}; now {dict(self.inputs)}); start it anew"
                )
            return stored
        checkpoints = checkpoints_of(self.folder)
        if not checkpoints.steps():
            return None
        stored = last_checkpoint(self.folder)
        known = _fit_of(stored_recipe(self.folder)) if (self.folder / RECIPE).is_file() else {}
        same = known == _fit_of(plain(asdict(self.recipe)))
        if same and stored.snapshot.about.get("inputs") == dict(self.inputs):
            logger.info("going on after step %d of the same recipe", stored.snapshot.step)
            return stored
        logger.warning(
            "the checkpoints in '%s' are of another recipe; fitting from the first step", self.folder
        )
        checkpoints.clear()
        return None


def recipe_in(folder: Path, recipe: Recipe, steps: int = 0) -> Recipe:
    """A stored recipe, to resume in ``folder``, which may have been moved. steps: 0 for the recipe's."""
    optimisation = replace(recipe.optimisation, steps=steps or recipe.optimisation.steps)
    resumed: Recipe = replace(recipe, output=str(folder), optimisation=optimisation)
    return resumed


def _fit_of(recipe: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in recipe.items() if key not in BESIDE_THE_FIT}


def _endless(draw: Callable[[], Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    while True:
        yield draw()
