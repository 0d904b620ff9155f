"""Recipes of pretraining as the pages list, change and save them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml

from perception_contrast.core.errors import ModelError, PerceptionError, RecipeError
from perception_contrast.core.file_writing import writing
from perception_contrast.core.plain_names import PLAIN_NAME_RULE, is_plain_name
from perception_contrast.models.registry import model_spec
from perception_contrast_training.config.pretraining_recipe import (
    PretrainRecipe,
    is_pretraining,
    read_recipe,
    recipe_of,
)
from perception_contrast_training.config.schema import read_mapping
from perception_contrast_training.config.shipped_recipes import shipped
from perception_contrast_training.networks.backbones import BackboneSettings, has_tokens, make_backbone
from perception_contrast_training.views.view_transform import BackboneInput, wanted_by

Changes = Mapping[str, Any]
"""Key with dots to value."""


def recipes(report: object, folder: str) -> list[dict[str, Any]]:
    """The recipes of pretraining that come along, and those in ``folder``.

    Returns:
        For each its ``name``, ``path``, ``title`` (first line of its comment), ``method`` and whether it is
        ``own``, made here. A file that is no recipe has a ``problem`` instead of a method.
    """
    found = [(name, path, first, False) for name, (path, first) in shipped().items()]
    own = sorted(Path(folder).glob("*.yaml")) if folder else []
    found += [(path.stem, path, path.read_text("utf-8").partition("\n")[0], True) for path in own]
    listed = []
    for name, path, first, is_own in found:
        entry = {"name": name, "path": str(path), "title": first.lstrip("# "), "own": is_own}
        try:
            stored = read_mapping(path)
            if not is_pretraining(stored):
                continue
            recipe = recipe_of(stored)
            entry |= {"method": recipe.method, "paired": recipe.kind.paired}
        except PerceptionError as error:
            entry |= {"method": "", "paired": False, "problem": str(error)}
        listed.append(entry)
    return listed


def changed_recipe(path: str, changes: Changes) -> PretrainRecipe:
    """A recipe's file with changes. Raises RecipeError that names the key."""
    return read_recipe(Path(path), _as_settings(changes))


def _as_settings(changes: Changes) -> list[str]:
    return [f"{key}={json.dumps(value)}" for key, value in changes.items()]


def backbone_input(settings: BackboneSettings) -> BackboneInput:
    """What a recipe's backbone takes, without reading its weights. Raises ModelError or RecipeError."""
    try:
        spec = model_spec(settings.name)
    except ModelError:
        with torch.device("meta"):
            return wanted_by(make_backbone(_untrained(settings)))
    patch = settings.patch or spec.patch if has_tokens(settings) or spec.knows_words else 1
    return BackboneInput(settings.size or spec.size, patch, spec.mean, spec.std)


def _untrained(settings: BackboneSettings) -> BackboneSettings:
    return dataclasses.replace(settings, pretrained=False, weights="")


def save(
    report: object, path: str, changes: Changes, name: str, folder: str, replace_it: bool
) -> dict[str, str]:
    """Writes a recipe with changes into a folder, and reads it again as training does.

    Args:
        report: Not used.
        path: The recipe that is changed.
        changes: To its values.
        name: Of the new recipe, without a suffix.
        folder: Where it goes.
        replace_it: Whether one of this name may be replaced.

    Returns:
        ``path`` of the file and the ``command`` that trains by it.

    Raises:
        RecipeError: The name or a value cannot be, or there is one of this name.
    """
    if not is_plain_name(name):
        raise RecipeError(f"'{name}' cannot name a recipe: {PLAIN_NAME_RULE}")
    if name in shipped():
        raise RecipeError(f"'{name}' is a recipe that comes along; choose another name")
    target = Path(folder) / f"{name}.yaml"
    if target.exists() and not replace_it:
        raise RecipeError(f"there is a recipe '{name}' already; choose another name, or replace it")
    stored = read_mapping(Path(path), _as_settings(changes)) | {"name": name, "output": f"runs/{name}"}
    recipe_of(stored)
    command = f"perception-contrast train run --recipe {target} --set data.path=DATASET"
    lines = [
        f"# {name}: {Path(path).stem} with views chosen in the studio.",
        *[f"#   {key}: {json.dumps(value)}" for key, value in changes.items()],
        f"#   {command}",
    ]
    text = "\n".join(lines) + "\n" + yaml.safe_dump(stored, sort_keys=False, default_flow_style=None)
    with writing(target) as part:
        part.write_text(text, "utf-8")
    read_recipe(target)
    return {"path": str(target), "command": command}
