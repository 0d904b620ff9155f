"""The photographs of a recipe: which are trained on, and as which shards."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from perception_contrast.core.errors import RecipeError
from perception_contrast.encoders.alignment_head import AlignmentConfig
from perception_contrast_training.config.alignment_recipe import AlignmentRecipe
from perception_contrast_training.evaluation.readers.types import Skipped
from perception_contrast_training.household.photo_shards import (
    PhotoShard,
    PhotoShardJob,
    load_photo_shard,
    make_photo_shard,
)
from perception_contrast_training.household.scene_shards import make_shards, require_same_scenes
from perception_contrast_training.photographs.base import PhotoSet
from perception_contrast_training.photographs.naming import Naming, load_naming
from perception_contrast_training.photographs.open_photos import open_photos
from perception_contrast_training.photographs.splits import part_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingPhotographs:
    """Photographs to train on.

    Attributes:
        shards: Theirs, from every set.
        naming: What their labels mean.
        learned_from: A line of JSON for the head's file: sets, counts and licences.
    """

    shards: tuple[PhotoShard, ...]
    naming: Naming
    learned_from: str

    @property
    def names(self) -> frozenset[str]:
        """Names of everything that the sets label."""
        return frozenset(name for shard in self.shards for name in shard.facts.names)


def training_photographs(recipe: AlignmentRecipe, *, offline: bool = False) -> TrainingPhotographs:
    """Encodes the photographs of a recipe that are not encoded yet.

    Args:
        recipe: With ``photographs.paths``.
        offline: Whether a network may not be touched.

    Raises:
        PerceptionError: A set cannot be read, or shards are of other photographs.
    """
    naming = load_naming([Path(name) for name in recipe.photographs.names])
    skipped = Skipped()
    sets = {Path(path): open_photos(Path(path), naming, skipped=skipped) for path in recipe.photographs.paths}
    for reason in skipped.files.values():
        logger.warning("left out: %s", reason)
    _require_names_apart(sets.values())
    learned_from = []
    for path, one in sets.items():
        count = len(part_of(one.facts.name, one.keys, "train"))
        logger.info(
            "%s: %d of %d photographs of '%s' to train on; licence: %s",
            one.facts.name, count, len(one.keys), path, one.facts.licence,
        )  # fmt: skip
        learned_from.append({"set": one.facts.name, "photographs": count, "licence": one.facts.licence})
    folder = Path(recipe.output) / "photo_shards"
    require_same_scenes(folder, _facts(recipe, sets.values()))
    jobs = [job for path, one in sets.items() for job in photo_jobs(recipe, path, one, offline)]
    what = "encoding photographs"
    folders = make_shards(jobs, recipe.scenes.workers, make_photo_shard, what)
    shards = tuple(load_photo_shard(one) for one in folders)
    return TrainingPhotographs(shards, naming, json.dumps(learned_from))


def labelled_names(recipe: AlignmentRecipe) -> frozenset[str]:
    """Names of everything that the photographs of a recipe label. Raises PerceptionError."""
    naming = load_naming([Path(name) for name in recipe.photographs.names])
    sets = (open_photos(Path(path), naming, skipped=Skipped()) for path in recipe.photographs.paths)
    return frozenset(name for one in sets for name in one.facts.names)


def photo_jobs(recipe: AlignmentRecipe, path: Path, source: PhotoSet, offline: bool) -> list[PhotoShardJob]:
    """The shards of the photographs of a set that are trained on."""
    keys = part_of(source.facts.name, source.keys, "train")
    settings, per_shard = recipe.photographs, recipe.scenes.per_shard
    return [
        PhotoShardJob(
            Path(recipe.output) / "photo_shards" / f"{source.facts.name}_{start // per_shard:04d}",
            path,
            tuple(Path(name) for name in settings.names),
            keys[start : start + per_shard],
            recipe.scenes.sizes[0],
            settings.views,
            recipe.image_tower,
            AlignmentConfig().layers,
            offline,
        )
        for start in range(0, len(keys), per_shard)
    ]


def _facts(recipe: AlignmentRecipe, sets: Collection[PhotoSet]) -> dict[str, object]:
    """What the shards depend on."""
    return {
        "sets": {one.facts.name: len(one.keys) for one in sets},
        "names": list(recipe.photographs.names),
        "views": recipe.photographs.views,
        "size": list(recipe.scenes.sizes[0]),
        "images a shard": recipe.scenes.per_shard,
        "image tower": recipe.image_tower,
        "layers": list(AlignmentConfig().layers),
    }


def _require_names_apart(sets: Collection[PhotoSet]) -> None:
    """Raises RecipeError for two sets of one name: their shards would be called alike."""
    names = [one.facts.name for one in sets]
    for name in names:
        if names.count(name) > 1:
            raise RecipeError(
                f"two of photographs.paths are called '{name}'; rename a folder or name one alone"
            )
