"""The photographs of a recipe: which are trained on, and as which shards."""

from __future__ import annotations

from pathlib import Path

from perception_contrast.encoders.alignment_head import AlignmentConfig
from perception_contrast_training.config.alignment_recipe import AlignmentRecipe
from perception_contrast_training.household.photo_shards import (
    PhotoShard,
    PhotoShardJob,
    load_photo_shard,
    make_photo_shard,
)
from perception_contrast_training.household.scene_shards import make_shards, require_same_scenes
from perception_contrast_training.household.training_sets import TrainingSets


def training_photographs(
    recipe: AlignmentRecipe, sets: TrainingSets, *, offline: bool = False
) -> tuple[PhotoShard, ...]:
    """Encodes the photographs of a recipe that are not encoded yet.

    Args:
        recipe: Says how.
        sets: Those of the recipe.
        offline: Whether a network may not be touched.

    Returns:
        Shards of every set.

    Raises:
        PerceptionError: Shards are of other photographs, or none of a set can be read.
    """
    require_same_scenes(Path(recipe.output) / "photo_shards", _facts(recipe, sets))
    jobs = [job for path in sets.sets for job in photo_jobs(recipe, path, sets, offline)]
    folders = make_shards(jobs, recipe.scenes.workers, make_photo_shard, "encoding photographs")
    return tuple(load_photo_shard(one) for one in folders)


def photo_jobs(recipe: AlignmentRecipe, path: Path, sets: TrainingSets, offline: bool) -> list[PhotoShardJob]:
    """The shards of the photographs of a set that are trained on."""
    keys, name = sets.keys(path, "train"), sets.sets[path].facts.name
    settings, per_shard = recipe.photographs, recipe.scenes.per_shard
    return [
        PhotoShardJob(
            Path(recipe.output) / "photo_shards" / f"{name}_{start // per_shard:04d}",
            path,
            tuple(Path(one) for one in settings.names),
            keys[start : start + per_shard],
            recipe.scenes.sizes[0],
            settings.views,
            recipe.image_tower,
            AlignmentConfig().layers,
            offline,
        )
        for start in range(0, len(keys), per_shard)
    ]


def _facts(recipe: AlignmentRecipe, sets: TrainingSets) -> dict[str, object]:
    """What the shards depend on."""
    return {
        "sets": sets.made_of(),
        "names": list(recipe.photographs.names),
        "views": recipe.photographs.views,
        "size": list(recipe.scenes.sizes[0]),
        "images a shard": recipe.scenes.per_shard,
        "image tower": recipe.image_tower,
        "layers": list(AlignmentConfig().layers),
    }
