"""The recipe of household-lit's rescoring head."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from perception_contrast.core.errors import RecipeError
from perception_contrast_training.config.head_settings import (
    HeadOptimisation,
    require_at_least_one,
    require_optimisation,
    require_share,
    require_towers,
)
from perception_contrast_training.config.run_settings import CheckpointSettings
from perception_contrast_training.config.schema import checked, read_mapping
from perception_contrast_training.household.rescoring.rescoring_losses import RescoringLoss

METHOD = "rescoring"
AT_LEAST_ONE = (
    "scenes.images", "scenes.per_shard", "scenes.workers", "head.width", "head.cell", "batch.things",
    "batch.phrases", "batch.pool", "batch.wordings", "optimisation.steps", "checkpoints.every",
    "photographs.regions",
    "calibration.scenes",
    "evaluation.images",
)  # fmt: skip


@dataclass(frozen=True)
class RescoringScenes:
    """seed: of the first shard, the next one's is one more. images: how many to render in all."""

    seed: int = 7_300_000
    images: int = 7050
    per_shard: int = 50
    workers: int = 2


@dataclass(frozen=True)
class RescoringPhotographs:
    """Labelled photographs whose regions are learned beside those of rendered rooms.

    Attributes:
        paths: Sets, as ``PhotographSettings`` of the alignment head takes them; folders of one class each
            are worth most here.
        names: Files of names beside the package's.
        licences: ``set: terms`` of sets whose folders do not tell under which terms they are.
        share: Of the batches that are of photographs.
        regions: Most regions of a photograph.
    """

    paths: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    licences: tuple[str, ...] = ()
    share: float = 0.6
    regions: int = 10


@dataclass(frozen=True)
class HeadShape:
    """width: of the trunk. cell: channels that a cell of the layout keeps. blocks: of the trunk. dropout:
    share of what comes in that a step does not see; block_dropout: of what is inside of a block."""

    width: int = 384
    cell: int = 48
    blocks: int = 2
    dropout: float = 0.35
    block_dropout: float = 0.3


@dataclass(frozen=True)
class RescoringBatchSettings:
    """things and phrases a step; pool: phrases to draw from in all; wordings: of each name."""

    things: int = 256
    phrases: int = 256
    pool: int = 12_000
    wordings: int = 24


@dataclass(frozen=True)
class RescoringOptimisation(HeadOptimisation):
    steps: int = 3000
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warm_up: int = 100
    average: float = 0.997


@dataclass(frozen=True)
class RescoringCalibrationSettings:
    """As ``CalibrationSettings`` of the alignment head, of the probability after crop rescoring."""

    scenes: int = 90
    seed: int = 500_003
    absent: int = 150
    least_right: float = 0.6
    unseen: bool = True
    photographs: int = 0


@dataclass(frozen=True)
class RescoringTest:
    """seed: of the first shard that is kept back. unseen: shapes, textures and colour pairs kept back from
    training. recall: share of present names that are to be reported where absent ones are counted.
    whole: also how the head of whole images names the same regions."""

    seed: int = 7_300_900
    images: int = 200
    unseen: bool = True
    recall: float = 0.9
    whole: bool = True


@dataclass(frozen=True)
class RescoringRecipe:
    """Everything that settles a run.

    words: the head whose words' space is learned, a packaged model or a file; "" is household-lit.
    start: a rescoring head to go on from, a file or ``household-lit-rendered``; "" for none. It may be of
    another space of words.
    """

    method: str = METHOD
    name: str = "household-zoom"
    seed: int = 3
    image_tower: str = "dinov2-s14"
    text_tower: str = "minilm-l6"
    words: str = ""
    output: str = "runs/household_zoom"
    start: str = ""
    scenes: RescoringScenes = field(default_factory=RescoringScenes)
    photographs: RescoringPhotographs = field(default_factory=RescoringPhotographs)
    head: HeadShape = field(default_factory=HeadShape)
    batch: RescoringBatchSettings = field(default_factory=RescoringBatchSettings)
    loss: RescoringLoss = field(default_factory=RescoringLoss)
    optimisation: RescoringOptimisation = field(default_factory=RescoringOptimisation)
    checkpoints: CheckpointSettings = field(default_factory=CheckpointSettings)
    calibration: RescoringCalibrationSettings = field(default_factory=RescoringCalibrationSettings)
    evaluation: RescoringTest = field(default_factory=RescoringTest)

    @property
    def shards(self) -> int:
        """How many are learned from."""
        return math.ceil(self.scenes.images / self.scenes.per_shard)


def load_rescoring_recipe(path: Path, changes: Sequence[str] = ()) -> RescoringRecipe:
    """Reads a recipe. Raises RecipeError that names the key and the nearest valid one."""
    return rescoring_recipe_of(read_mapping(path, changes))


def rescoring_recipe_of(stored: Mapping[str, Any]) -> RescoringRecipe:
    """A mapping as a recipe. Raises RecipeError that names the key and the nearest valid one."""
    if stored.get("method") != METHOD:
        raise RecipeError(f"method '{stored.get('method')}' is not '{METHOD}'")
    recipe = checked(RescoringRecipe, stored)
    _require_sane(recipe)
    return recipe


def _require_sane(recipe: RescoringRecipe) -> None:
    require_towers(recipe)
    require_at_least_one(recipe, AT_LEAST_ONE)
    require_optimisation(recipe.optimisation)
    require_share("head.dropout", recipe.head.dropout)
    require_share("head.block_dropout", recipe.head.block_dropout)
    require_share("photographs.share", recipe.photographs.share)
    require_share("calibration.least_right", recipe.calibration.least_right)
    if recipe.head.blocks < 0:
        raise RecipeError("'head.blocks' must not be negative")
    if not 0.0 < recipe.evaluation.recall <= 1.0:
        raise RecipeError(f"evaluation.recall {recipe.evaluation.recall} is not in (0, 1]")
    if recipe.evaluation.seed < recipe.scenes.seed + recipe.shards:
        raise RecipeError(
            f"evaluation.seed {recipe.evaluation.seed} is that of scenes that are learned from; "
            f"use {recipe.scenes.seed + recipe.shards} or more"
        )
