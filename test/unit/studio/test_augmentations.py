"""The views that the augmentations page shows are those that training makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from perception_contrast.core.errors import RecipeError
from perception_contrast_studio.tasks.training import augmentations, recipe_files
from perception_contrast_training.config.pretraining_recipe import PretrainRecipe, read_recipe
from perception_contrast_training.config.shipped_recipes import recipe_path
from perception_contrast_training.data.datasets.open_dataset import open_dataset
from perception_contrast_training.data.loading.batches import batches
from perception_contrast_training.data.loading.order import Order
from perception_contrast_training.networks.backbones import make_backbone
from perception_contrast_training.views import pixels
from perception_contrast_training.views.view_transform import wanted_by

SMALL = {"backbone.name": "vit_tiny_patch16_224", "backbone.size": 32, "backbone.patch": 8}
METHODS = ("simclr", "byol", "dino", "dinov2", "mae", "clip")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    for number in range(3):
        soft = cv2.GaussianBlur(rng.integers(0, 256, (60, 80, 3)).astype(np.uint8), (0, 0), 3.0)
        cv2.imwrite(str(tmp_path / f"{number}.png"), soft)
    return tmp_path


def chosen(method: str, **more: Any) -> PretrainRecipe:
    changes = {**SMALL, **more}
    return recipe_files.changed_recipe(str(recipe_path(f"{method}_scratch")), changes)


@pytest.mark.parametrize("method", [one for one in METHODS if one != "clip"])
def test_what_is_shown_is_what_training_gets(folder: Path, method: str) -> None:
    recipe = chosen(method)
    wanted = recipe_files.backbone_input(recipe.backbone)
    maker = recipe.kind.views(recipe.options.views, wanted)
    order = Order(3, 3, seed=5)
    batch = next(iter(batches(open_dataset(folder), maker, order)))
    index, place = order.share_at(0, 0, 1)[1]
    seen = augmentations.seen_views(recipe, wanted, {"path": str(folder), "index": index}, 5, place)
    finals = [
        pixels.normalised(augmentations.as_float(augmentations.final_image(steps)), wanted.mean, wanted.std)
        for steps in seen.views
    ]
    names = [name for name in ("views", "globals", "locals", "image") if name in batch]
    trained = [
        view for name in names for view in (batch[name][:, 1] if name != "image" else batch[name][1:2])
    ]
    assert len(finals) == len(trained)
    assert all(torch.equal(one, other) for one, other in zip(finals, trained, strict=True))


def test_hidden_patches_are_those_that_the_student_does_not_see(folder: Path) -> None:
    recipe = chosen("mae")
    wanted = recipe_files.backbone_input(recipe.backbone)
    seen = augmentations.seen_views(recipe, wanted, {"path": str(folder), "index": 0}, 0, 0)
    masked = seen.views[0][-1]
    assert masked.name == "masked" and masked.values["share"] == pytest.approx(0.75)
    assert masked.image is not None
    noise = seen.made["noise"].reshape(4, 4)
    kept = noise <= noise.flatten().sort().values[3]
    plain = augmentations.as_float(augmentations.final_image(seen.views[0]))
    for row, column in np.ndindex(4, 4):
        cell = (slice(None), slice(8 * row, 8 * row + 8), slice(8 * column, 8 * column + 8))
        assert torch.equal(masked.image[cell], plain[cell]) == bool(kept[row, column])


def test_the_backbones_input_is_known_without_its_weights() -> None:
    settings = chosen("simclr").backbone
    assert recipe_files.backbone_input(settings) == wanted_by(make_backbone(settings))


def test_a_saved_recipe_is_one_that_training_reads(tmp_path: Path) -> None:
    path = str(recipe_path("simclr_adapt"))
    changes = {"options.views.hue": 0.05, "options.views.area": [0.3, 0.9]}
    saved = recipe_files.save(None, path, changes, "calm", str(tmp_path), False)
    views = read_recipe(Path(saved["path"])).options.views
    assert views.hue == 0.05 and views.area == (0.3, 0.9)
    with pytest.raises(RecipeError, match="already"):
        recipe_files.save(None, path, {}, "calm", str(tmp_path), False)
    assert read_recipe(Path(saved["path"])).options.views.hue == 0.05
    recipe_files.save(None, path, {}, "calm", str(tmp_path), True)
    assert read_recipe(Path(saved["path"])).options.views.hue == 0.2
    (own,) = [one for one in recipe_files.recipes(None, str(tmp_path)) if one["own"]]
    assert own["name"] == "calm" and own["method"] == "simclr"


@pytest.mark.parametrize("name", ["../calm", "a/b", "", "simclr_adapt", ".hidden"])
def test_a_recipe_goes_nowhere_but_into_its_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "recipes"
    with pytest.raises(RecipeError):
        recipe_files.save(None, str(recipe_path("simclr_adapt")), {}, name, str(folder), True)
    assert not list(tmp_path.rglob("*.yaml"))


def test_a_value_that_cannot_be_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"options\.views\.flip"):
        recipe_files.save(
            None, str(recipe_path("simclr_adapt")), {"options.views.flip": 2}, "odd", str(tmp_path), False
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("method", METHODS)
def test_sliders_reach_the_values_of_the_recipe(method: str) -> None:
    about = augmentations.recipe(None, str(recipe_path(f"{method}_scratch")))
    assert about["controls"]
    for one in about["controls"]:
        assert all(one["least"] <= value <= one["most"] for value in one["values"]), one["key"]
        steps = [(value - one["least"]) / one["step"] for value in one["values"]]
        assert steps == pytest.approx([round(step) for step in steps], abs=1e-6), one["key"]
