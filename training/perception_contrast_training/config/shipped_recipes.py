"""The recipes that come with the package, by name."""

from __future__ import annotations

from pathlib import Path

from perception_contrast.core.errors import RecipeError
from perception_contrast_training.config.renamed_keys import RENAMED_RECIPES, current_recipe_name
from perception_contrast_training.config.schema import nearest


def folders() -> list[Path]:
    """Beside the package in the source tree; under ``share`` where it is installed."""
    here = Path(__file__)
    shares = [parent / "share" / "perception_contrast_training" / "recipes" for parent in here.parents]
    return [folder for folder in (here.parents[2] / "recipes", *shares) if folder.is_dir()]


def shipped() -> dict[str, tuple[Path, str]]:
    """Name to file and its first line."""
    found: dict[str, tuple[Path, str]] = {}
    for folder in folders():
        for path in sorted(folder.glob("*.yaml")):
            first = path.read_text().partition("\n")[0].lstrip("# ")
            found.setdefault(path.stem, (path, first))
    return found


def recipe_path(name: str) -> Path:
    """A recipe's file: the path that is given, or one that comes along.

    Old names of those that come along are taken with a warning.

    Raises:
        RecipeError: No recipe has this name.
    """
    path = Path(name)
    if path.stem in RENAMED_RECIPES and not path.is_file():
        path = path.with_stem(current_recipe_name(path.stem))
        name = str(path)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        return path
    known = shipped()
    if name in known:
        return known[name][0]
    raise RecipeError(f"there is no recipe '{name}'{nearest(name, list(known))}")
