"""The values of a recipe that shape its views, with what they may be."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from perception_contrast_training.config.pretraining_recipe import PretrainRecipe
from perception_contrast_training.config.ranges import ANY, RANGES
from perception_contrast_training.views.view_transform import BackboneInput

VIEWS = "options.views"
# Where a recipe may hold any number, what is worth trying.
_TRIED = {"strength": 2.0, "locals": 12.0}
_SIZES = ("size", "local_size")
_LARGEST = 560  # pixels
_STEPS = 100  # of a slider


def controls(recipe: PretrainRecipe, wanted: BackboneInput) -> list[dict[str, Any]]:
    """What a visitor may move, in the order of the recipe.

    Args:
        recipe: With its values.
        wanted: What its backbone takes.

    Returns:
        For each its ``key``; its ``values`` in the recipe, one or several; ``least``, ``most`` and ``step``;
        ``rising``: whether the values are the two ends of a range; ``whole``: whether they are whole numbers.
    """
    settings = recipe.options.views
    found = [
        _control(f"{VIEWS}.{one.name}", getattr(settings, one.name), wanted)
        for one in dataclasses.fields(settings)
    ]
    if recipe.method == "mae":
        found.append(_control("options.ratio", recipe.options.ratio, wanted))
    return found


def _control(key: str, value: Any, wanted: BackboneInput) -> dict[str, Any]:
    name, allowed = key.rpartition(".")[2], RANGES.get(key, ANY)
    values = list(value) if isinstance(value, tuple) else [value]
    whole = all(isinstance(one, int) for one in values)
    least = allowed.least if math.isfinite(allowed.least) else 0.0
    most = allowed.most if math.isfinite(allowed.most) else _TRIED.get(name, 1.0)
    step = 1.0 if whole else max(0.001, round((most - least) / _STEPS, 3))
    if name in _SIZES:
        # 0 stands for the backbone's own size; other sizes are of whole patches.
        least, most, step = 0.0, float(_LARGEST // wanted.patch * wanted.patch), float(wanted.patch)
    if 0 < least < step:
        # A slider counts its steps from its least value.
        least = min(step, *values)
    return {
        "key": key,
        "values": values,
        "least": least,
        "most": max(most, *values),
        "step": step,
        "rising": allowed.rising,
        "whole": whole,
    }
