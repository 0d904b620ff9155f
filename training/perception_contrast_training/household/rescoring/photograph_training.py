"""The photographs of a rescoring recipe: which regions are trained on, and as which shards."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from perception_contrast.encoders.alignment_head import AlignmentConfig
from perception_contrast.encoders.rescoring_head import SIDE
from perception_contrast_training.config.rescoring_recipe import RescoringRecipe
from perception_contrast_training.household.rescoring.enlarged_regions import EnlargedRegions
from perception_contrast_training.household.rescoring.photo_regions import (
    PhotoRegionJob,
    PhotoThing,
    load_photo_regions,
    make_photo_regions,
)
from perception_contrast_training.household.scene_shards import make_shards, require_same_scenes
from perception_contrast_training.household.training_sets import TrainingSets
from perception_contrast_training.photographs.naming import Naming

PER_SHARD = 50  # photographs


@dataclass(frozen=True)
class PhotographRegions:
    """Regions to train on.

    Attributes:
        things: Theirs, from every set.
        naming: What their labels mean.
        learned_from: A line of JSON for the head's file: sets, counts and licences.
    """

    things: EnlargedRegions[PhotoThing]
    naming: Naming
    learned_from: str


def photograph_regions(
    recipe: RescoringRecipe, sets: TrainingSets, *, offline: bool = False
) -> PhotographRegions:
    """Encodes the regions of a recipe's photographs that are not encoded yet.

    Args:
        recipe: Says how.
        sets: Those of the recipe.
        offline: Whether a network may not be touched.

    Raises:
        PerceptionError: Shards are of other photographs, or none of a set can be read.
    """
    settings = recipe.photographs
    folder = Path(recipe.output) / "photo_shards"
    facts: dict[str, object] = {
        "sets": sets.made_of(),
        "names": list(settings.names),
        "regions": settings.regions,
        "image tower": recipe.image_tower,
        "layers": list(AlignmentConfig().layers),
        "pixels a view": SIDE,
    }
    require_same_scenes(folder, facts)
    jobs = [job for path in sets.sets for job in _jobs(recipe, path, sets, folder, offline)]
    folders = make_shards(jobs, recipe.scenes.workers, make_photo_regions, "encoding regions of photographs")
    return PhotographRegions(load_photo_regions(folders), sets.naming, sets.learned_from)


def _jobs(
    recipe: RescoringRecipe, path: Path, sets: TrainingSets, folder: Path, offline: bool
) -> list[PhotoRegionJob]:
    keys, name = sets.keys(path, "train"), sets.sets[path].facts.name
    settings = recipe.photographs
    return [
        PhotoRegionJob(
            folder / f"{name}_{start // PER_SHARD:04d}",
            path,
            tuple(Path(one) for one in settings.names),
            keys[start : start + PER_SHARD],
            settings.regions,
            recipe.image_tower,
            AlignmentConfig().layers,
            offline,
        )
        for start in range(0, len(keys), PER_SHARD)
    ]
