"""The recipe of household-lit's alignment head."""

from __future__ import annotations

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
from perception_contrast_training.household.alignment.alignment_losses import LossWeights
from perception_contrast_training.household.alignment.dense_batches import BatchSettings

PATCH = 14  # of the image tower, pixels
PARTS = ("things", "image")  # of a head, that can be fitted while the rest stays as it is
AT_LEAST_ONE = (
    "scenes.images", "scenes.per_shard", "scenes.workers", "batch.images", "batch.crop",
    "batch.phrases", "photographs.views", "optimisation.steps", "checkpoints.every", "calibration.scenes",
    "evaluation.scenes",
)  # fmt: skip


@dataclass(frozen=True)
class SceneRecipe:
    """images: how many to render in all. sizes: network sizes [height, width]; shares: of the images."""

    seed: int = 1
    images: int = 6000
    per_shard: int = 50
    sizes: tuple[tuple[int, int], ...] = ((378, 504), (280, 378), (224, 294))
    shares: tuple[float, ...] = (0.5, 0.25, 0.25)
    workers: int = 2


@dataclass(frozen=True)
class PhotographSettings:
    """Labelled photographs to train on beside rendered rooms.

    Attributes:
        paths: Sets, each a folder or file as ``photographs.open_photos`` reads it; none trains on rendered
            rooms alone.
        names: Files of names beside the package's, of the form of ``photographs/names.yaml``.
        licences: ``set: terms`` of sets whose folders do not tell under which terms they are.
        views: Of each photograph: the plain one, and others that are cropped, mirrored and recoloured.
        share: Of the batches that are of photographs.
    """

    paths: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    licences: tuple[str, ...] = ()
    views: int = 2
    share: float = 0.65


@dataclass(frozen=True)
class AlignmentOptimisation(HeadOptimisation):
    """dropout: share of the trunk's values that a step does not see."""

    dropout: float = 0.0


@dataclass(frozen=True)
class CalibrationSettings:
    """What probabilities and thresholds are fitted to.

    Attributes:
        scenes: Rendered rooms of ``seed``.
        seed: Of scenes and of the names that are asked for.
        absent: Names asked for that are not there, per scene. A robot that knows many names asks mostly for
            what is not there, and probabilities hold for such a mix and for small vocabularies.
        least_right: Share of what is published at the default threshold that is right, in rooms and in
            photographs.
        unseen: Shapes, textures and colour pairs kept back from training: a head is surer of what it was
            trained on, and robots meet other things.
        photographs: Of the calibration part of each set of ``photographs.paths``, 0 for all.
    """

    scenes: int = 90
    seed: int = 500_001
    absent: int = 150
    least_right: float = 0.6
    unseen: bool = True
    photographs: int = 0


@dataclass(frozen=True)
class HouseholdTest:
    """scenes of unseen rooms from ``seed``; held_out_scenes: with things that training never saw.

    absent: names asked for that are not there, per scene. unseen: shapes, textures and colour pairs
    kept back from training.
    """

    scenes: int = 200
    held_out_scenes: int = 200
    seed: int = 910_007
    absent: int = 20
    unseen: bool = True


@dataclass(frozen=True)
class AlignmentRecipe:
    """Everything that settles a run of the alignment head.

    start: a head to go on from, a file or a packaged model; "" for none. only: part of the head that is
    fitted while the rest stays as it is, "" for all of it. "things" is what tells touching things apart;
    "image" is all but the side of words, so that words keep their vectors, and a rescoring head its words.
    """

    method: str = "alignment"
    name: str = "household-lit"
    seed: int = 7
    image_tower: str = "dinov2-s14"
    text_tower: str = "minilm-l6"
    output: str = "runs/household_lit"
    start: str = ""
    only: str = ""
    scenes: SceneRecipe = field(default_factory=SceneRecipe)
    photographs: PhotographSettings = field(default_factory=PhotographSettings)
    batch: BatchSettings = field(default_factory=BatchSettings)
    loss: LossWeights = field(default_factory=LossWeights)
    optimisation: AlignmentOptimisation = field(default_factory=AlignmentOptimisation)
    checkpoints: CheckpointSettings = field(default_factory=CheckpointSettings)
    calibration: CalibrationSettings = field(default_factory=CalibrationSettings)
    evaluation: HouseholdTest = field(default_factory=HouseholdTest)


def load_alignment_recipe(path: Path, changes: Sequence[str] = ()) -> AlignmentRecipe:
    """Reads a recipe. Raises RecipeError that names the key and the nearest valid one."""
    return alignment_recipe_of(read_mapping(path, changes))


def alignment_recipe_of(stored: Mapping[str, Any]) -> AlignmentRecipe:
    """A mapping as a recipe. Raises RecipeError that names the key and the nearest valid one."""
    if stored.get("method", "alignment") != "alignment":
        raise RecipeError(f"method '{stored['method']}' is unknown; this version trains 'alignment'")
    recipe = checked(AlignmentRecipe, stored)
    _require_sane(recipe)
    return recipe


def _require_sane(recipe: AlignmentRecipe) -> None:
    require_towers(recipe)
    if recipe.only not in ("", *PARTS):
        raise RecipeError(
            f"only '{recipe.only}' is no part that can be fitted alone; use 'things', 'image' or leave it out"
        )
    if recipe.only and not recipe.start:
        raise RecipeError(f"only '{recipe.only}' is fitted on a finished head; name it with 'start'")
    scenes = recipe.scenes
    if not scenes.sizes or len(scenes.sizes) != len(scenes.shares):
        raise RecipeError("scenes.sizes and scenes.shares differ in length, or are empty")
    if any(side <= 0 or side % PATCH for size in scenes.sizes for side in size):
        raise RecipeError(f"every side of scenes.sizes must be a multiple of {PATCH}, the tower's patch")
    if len({height for height, _ in scenes.sizes}) < len(scenes.sizes):
        raise RecipeError("two of scenes.sizes have the same height; they would show the same scenes")
    require_optimisation(recipe.optimisation)
    require_share("optimisation.dropout", recipe.optimisation.dropout)
    require_share("photographs.share", recipe.photographs.share)
    require_share("calibration.least_right", recipe.calibration.least_right)
    require_at_least_one(recipe, AT_LEAST_ONE)
