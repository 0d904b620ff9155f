"""A pretraining run as it is on disk, with the weights that users want."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

from torch import nn

from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.config.pretraining_recipe import PretrainRecipe, is_pretraining, recipe_of
from perception_contrast_training.engine.checkpoint import StoredSnapshot, load_into, read_snapshot
from perception_contrast_training.engine.recipe_method import initial_backbone, method_of, towers_of
from perception_contrast_training.engine.resume import checkpoints_of, last_checkpoint, stored_recipe
from perception_contrast_training.methods.base import Method
from perception_contrast_training.methods.pairs import Towers
from perception_contrast_training.networks.two_towers import Network


@dataclass(frozen=True)
class TrainedRun:
    """method: with the weights of ``step``, averaged ones where the run averages."""

    recipe: PretrainRecipe
    method: Method
    step: int

    @property
    def backbone(self) -> Network:
        """The encoder that is served."""
        return cast(Network, self.method.exported())

    @property
    def pair(self) -> Towers | None:
        """Both towers, where it learned from captions."""
        return towers_of(self.method)


def load_run(folder: Path, *, best: bool = True, step: int = 0) -> TrainedRun:
    """Reads a run's method.

    Args:
        folder: The run's output folder.
        best: Whether to take the best checkpoint in place of the last one.
        step: Take the checkpoint of this step, 0 for none in particular.

    Raises:
        PerceptionError: There is no such run or checkpoint, or it cannot be read.
    """
    mapping = stored_recipe(folder)
    if not is_pretraining(mapping):
        raise PerceptionError(
            f"'{folder}' is a fit of a household head; its head.safetensors is served as it is, see "
            "docs/training.md"
        )
    recipe = recipe_of(mapping)
    stored = _chosen_checkpoint(folder, best, step)
    method, _ = method_of(recipe, initial_backbone(recipe))
    module = cast(nn.Module, method)
    load_into(module, stored.snapshot.average or stored.snapshot.method, stored.path)
    module.eval()
    return TrainedRun(recipe, method, stored.snapshot.step)


def _chosen_checkpoint(folder: Path, best: bool, step: int) -> StoredSnapshot:
    checkpoints = checkpoints_of(folder)
    noted = checkpoints.best() if best and not step else None
    wanted = step or (noted.step if noted else 0)
    if not wanted:
        return last_checkpoint(folder)
    path = checkpoints.path_of(wanted)
    if not path.is_file():
        raise PerceptionError(
            f"'{folder}' has no checkpoint of step {wanted}; it has: "
            f"{', '.join(map(str, checkpoints.steps())) or 'none'}"
        )
    return StoredSnapshot(path, read_snapshot(path))
