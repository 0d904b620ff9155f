"""Old spellings of recipe keys and values, which work and warn, and keys that nothing reads any more."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from perception_contrast.core.errors import RecipeError

RENAMED_KEYS: Mapping[str, str] = {
    "optimisation.part": "optimisation.micro_batch",
    "scenes.pictures": "scenes.images",
    "batch.pictures": "batch.images",
    "evaluation.pictures": "evaluation.images",
    "measure.pictures": "measure.images",
}
# Keys that are gone, and why; they are left out of a recipe with a warning.
_OF_EXEMPLARS = "heads learn nothing from exemplars, which are compared by the image encoder's own features"
REMOVED_KEYS: Mapping[str, str] = {
    "batch.examples": _OF_EXEMPLARS,
    "loss.example": _OF_EXEMPLARS,
    "calibration.example_scenes": _OF_EXEMPLARS,
    "calibration.least_right_examples": _OF_EXEMPLARS,
}
RENAMED_VALUES: Mapping[str, Mapping[str, str]] = {"method": {"zoom": "rescoring"}}
RENAMED_RECIPES: Mapping[str, str] = {"household_zoom": "household_rescoring"}


def with_current_keys(stored: Mapping[str, Any], where: str, prefix: str = "") -> dict[str, Any]:
    """A recipe's mapping with today's keys and values, without those that nothing reads any more.

    Args:
        stored: As it was written.
        where: What wrote it, for messages.
        prefix: The dotted key that holds ``stored``, with a dot at its end.

    Returns:
        A new mapping in the same order.

    Raises:
        RecipeError: It has an old key beside the one that took its place.
    """
    found: dict[str, Any] = {}
    for key, value in stored.items():
        name = f"{prefix}{key}"
        if name in REMOVED_KEYS:
            _warn(f"{where}: key '{name}' has no effect: {REMOVED_KEYS[name]}; leave it out", "the key")
            continue
        current = RENAMED_KEYS.get(name, name)
        last = current.rpartition(".")[2] if current != name else key
        if current != name:
            if last in stored:
                raise RecipeError(
                    f"{where} has both '{name}' and '{current}', which are one key; keep the last"
                )
            _warn(f"{where}: key '{name}' is now '{current}'")
        if isinstance(value, Mapping):
            value = with_current_keys(value, where, f"{current}.")
        elif isinstance(value, str) and value in RENAMED_VALUES.get(current, {}):
            _warn(f"{where}: '{current}: {value}' is now '{current}: {RENAMED_VALUES[current][value]}'")
            value = RENAMED_VALUES[current][value]
        found[last] = value
    return found


def current_recipe_name(name: str) -> str:
    """Today's name of a recipe that comes along."""
    if name not in RENAMED_RECIPES:
        return name
    _warn(f"recipe '{name}' is now '{RENAMED_RECIPES[name]}'")
    return RENAMED_RECIPES[name]


def _warn(text: str, what: str = "the old spelling") -> None:
    # FutureWarning, because Python shows DeprecationWarning to developers alone.
    warnings.warn(f"{text}; {what} will be refused two minor versions on", FutureWarning, stacklevel=4)
