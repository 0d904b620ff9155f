"""Keys of recipes as their sources have them: those of the dataclasses, told before torch is imported."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from perception_contrast.core.errors import RecipeError
from perception_contrast_training.config import recipe_keys
from perception_contrast_training.config.alignment_recipe import AlignmentRecipe
from perception_contrast_training.config.pretraining_recipe import PretrainRecipe
from perception_contrast_training.config.recipe_keys import require_known_keys
from perception_contrast_training.config.rescoring_recipe import RescoringRecipe
from perception_contrast_training.config.schema import read_mapping
from perception_contrast_training.config.shipped_recipes import shipped
from perception_contrast_training.methods.registry import METHODS

ROOT = Path(__file__).resolve().parents[4]


def keys_of(kind: Any) -> dict[str, Any] | None:
    """The keys of a dataclass, by what Python knows of it."""
    if not dataclasses.is_dataclass(kind):
        return None
    return {name: keys_of(hint) for name, hint in get_type_hints(kind).items()}


@pytest.mark.parametrize("kind", [PretrainRecipe, AlignmentRecipe, RescoringRecipe])
def test_recipes_have_the_keys_that_their_sources_say(kind: type) -> None:
    assert recipe_keys._keys_of(kind.__module__, kind.__name__) == keys_of(kind)


def test_methods_have_the_settings_that_the_registry_says() -> None:
    told = recipe_keys._settings_of_methods()
    assert list(told) == list(METHODS)
    for method, where in told.items():
        assert recipe_keys._keys_of(*where) == keys_of(METHODS[method].settings)


@pytest.mark.parametrize("name", list(shipped()))
def test_no_key_of_a_shipped_recipe_is_refused(name: str) -> None:
    require_known_keys(read_mapping(shipped()[name][0]))


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        ({"method": "simcrl"}, "mean 'simclr'"),
        (
            {"method": "clip", "options": {"text": {"widh": 3}}},
            r"'options\.text\.widh'; did you mean 'width'",
        ),
        ({"method": "rescoring", "evaluation": {"sed": 1}}, "did you mean 'seed'"),
        ({"scenes": {"image": 1}}, "did you mean 'images'"),
        ({"method": ["clip"]}, "method .'clip'. is unknown"),
    ],
)
def test_a_mistyped_key_is_told_with_the_nearest(stored: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        require_known_keys(stored)


@pytest.mark.parametrize("recipe", ["dinov2_lora", "household_lit", "household_rescoring"])
def test_a_mistyped_set_is_told_without_torch(recipe: str) -> None:
    program = (
        "import sys; from perception_contrast.cli.main import main\n"
        f"code = main(['train', 'run', '--recipe', '{recipe}', '--set', 'optimisation.btch=3'])\n"
        "print(code, *sorted({'torch', 'timm', 'numpy', 'cv2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.split() == ["2"] and "'optimisation.btch'" in done.stderr
