"""Training recipes, with changes as `--set` makes them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from random import Random

import yaml

from fuzzing.mutations import NUMBERS, TEXTS
from fuzzing.target import Mutation, Target
from fuzzing.targets.bags import mutated_yaml
from perception_contrast.core.errors import RecipeError
from perception_contrast_training.config.alignment_recipe import alignment_recipe_of
from perception_contrast_training.config.pretraining_recipe import (
    as_mapping,
    is_pretraining,
    recipe_of,
    settled,
)
from perception_contrast_training.config.rescoring_recipe import METHOD, rescoring_recipe_of
from perception_contrast_training.config.schema import read_mapping
from perception_contrast_training.config.shipped_recipes import shipped

_SET = "#set "
_KEYS = (
    "optimisation.steps", "optimisation.betas", "data.held_out", "data.pairs", "options.views.area",
    "backbone",
    "lora.rank", "epochs", "method", "name", "output", "options.temperature", "seed", "optimisation.part",
    "a.b.c", "",
)  # fmt: skip


_IN_ITSELF = b"&a\nmethod: simclr\noptions: {views: *a}\n"


class Recipes(Target):
    allowed = (RecipeError,)

    @property
    def mutations(self) -> Sequence[Mutation]:
        return (_mutated_recipe, _with_change)

    def seeds(self) -> list[bytes]:
        return [path.read_bytes() for path, _ in shipped().values()] + [_IN_ITSELF]

    def run(self, data: bytes) -> None:
        path = self.scratch / "recipe.yaml"
        path.write_bytes(data)
        read_recipe(path, _changes(data))


def read_recipe(path: Path, changes: Sequence[str]) -> None:
    """Reads a recipe of any kind, settles its numbers and reads what would be stored of it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        stored = read_mapping(path, changes)
    if is_pretraining(stored):
        recipe, _ = settled(recipe_of(stored), 1000, 64)
        written = yaml.safe_load(yaml.safe_dump(as_mapping(recipe)))
        assert recipe_of(written) == recipe, "a stored recipe is read as another one"
    elif stored.get("method", "alignment") == METHOD:
        rescoring_recipe_of(stored)
    else:
        alignment_recipe_of(stored)


def _changes(data: bytes) -> list[str]:
    """Lines "#set key=value" of an input are its changes."""
    lines = data.decode("utf-8", "replace").splitlines()
    return [line.removeprefix(_SET) for line in lines if line.startswith(_SET)]


def _mutated_recipe(rng: Random, data: bytes) -> bytes:
    changes = "".join(f"{_SET}{one}\n" for one in _changes(data))
    return changes.encode() + mutated_yaml(rng, data)


def _with_change(rng: Random, data: bytes) -> bytes:
    value = rng.choice(
        (*map(str, NUMBERS), *TEXTS[:-1], "[1, 2]", "{a: 1}", "[.inf, .nan]", "1e-3", "*a", "!!x y")
    )
    line = f"{_SET}{rng.choice(_KEYS)}{rng.choice('=== :')}{value}\n"
    return line.replace("\r", " ").encode("utf-8", "replace") + data
