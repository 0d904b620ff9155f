"""Recipes of the learning methods: what comes along is valid, and each method runs from it to its end."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from shipped_methods import OPTIONS, OWN, SMALL
from tiny_teachers import know_a_tiny_teacher

from perception_contrast.core.errors import RecipeError
from perception_contrast.models.registry import model_spec
from perception_contrast_training.config.pretraining_recipe import as_mapping, read_recipe, recipe_of, settled
from perception_contrast_training.config.ranges import RANGES, numbers
from perception_contrast_training.config.renamed_keys import REMOVED_KEYS, RENAMED_KEYS
from perception_contrast_training.config.schema import read_mapping
from perception_contrast_training.config.shipped_recipes import recipe_path, shipped
from perception_contrast_training.engine.journal import read_log
from perception_contrast_training.engine.load_run import load_run
from perception_contrast_training.engine.pretraining import start
from perception_contrast_training.methods.registry import METHODS


def test_every_method_has_recipes() -> None:
    assert {read_mapping(path)["method"] for path in OWN.values()} == set(METHODS)
    ways = {name.partition("_")[2] for name in OWN}
    assert ways == {"scratch", "adapt", "lora", ""} and len(OWN) == 25


def says(read: Any, stored: Any) -> bool:
    """Whether all that is stored is what was read."""
    if isinstance(stored, dict):
        return all(says(read[key], value) for key, value in stored.items())
    return bool(read == stored)


@pytest.mark.parametrize("name", sorted(OWN))
def test_what_comes_along_is_valid_and_says_what_it_says(name: str) -> None:
    recipe, stored = read_recipe(OWN[name]), yaml.safe_load(OWN[name].read_text())
    read = json.loads(json.dumps(as_mapping(recipe)))
    options, chosen = stored.pop("options", {}), read.pop("options")
    assert options.keys() <= chosen.keys() and says(read, stored)
    assert recipe.adapts == (not name.endswith("scratch"))
    assert bool(recipe.lora.rank) == name.endswith("lora")
    assert OWN[name].read_text().startswith("# ")


def test_what_is_not_said_is_as_published() -> None:
    recipe = recipe_of({"method": "dino"})
    found = recipe.optimisation
    assert (found.optimiser, found.learning_rate, found.weight_decay, found.final_decay) == (
        "adamw",
        5e-4,
        0.04,
        0.4,
    )
    assert (found.clip, found.clip_each) == (3.0, True)
    changed = recipe_of({"method": "dino", "optimisation": {"learning_rate": 1e-3}})
    assert changed.optimisation.learning_rate == 1e-3 and changed.optimisation.clip == 3.0


def test_numbers_that_depend_on_the_data_are_chosen_once_and_told() -> None:
    recipe = recipe_of({"method": "dino", "epochs": 10, "optimisation": {"batch": 100}})
    chosen, sentences = settled(recipe, 2000, 224)
    assert chosen.optimisation.steps == 200 and chosen.optimisation.warm_up == 20
    assert chosen.options.prototypes < recipe.options.prototypes
    assert any("prototypes" in one and "2000 images" in one for one in sentences)
    again, more = settled(recipe_of(json.loads(json.dumps(as_mapping(chosen)))), 2000, 224)
    assert again == chosen and more == []
    kept, _ = settled(recipe_of({"method": "dino", "as_written": True}), 2000, 224)
    assert kept.options == recipe.options


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        ({"method": "dino", "optins": {}}, "unknown key 'optins'; did you mean 'options'"),
        ({"method": "dino", "options": {"prototyps": 3}}, "'options.prototyps'; did you mean 'prototypes'"),
        ({"method": "dino", "options": {"views": {"local": 3}}},
         "'options.views.local'; did you mean 'locals'"),
        ({"method": "dino", "backbone": {"nam": "x"}}, "'backbone.nam'; did you mean 'name'"),
        ({"method": "dino3"}, "did you mean 'dino"),
        ({}, "method None is unknown"),
        ({"method": "dino", "optimisation": {"precision": "fp16"}},
         "'optimisation.precision' cannot be 'fp16'"),
        ({"method": "dino", "data": {"held_out": 1.5}}, "data.held_out"),
        ({"method": "dino", "epochs": 0}, "give 'optimisation.steps'"),
        ({"method": "dino", "data": {"held_out_part": "test"}}, "data.part"),
        ({"method": "dino", "optimisation": {"batch": 0}}, "'optimisation.batch' cannot be 0; it must be 1"),
        ({"method": "dino", "name": "../mine"}, "'name': "),
        ({"method": "dino", "checkpoints": {"every": 0}}, "'checkpoints.every' cannot be 0"),
        ({"method": "dino", "monitors": {"every": 0}}, "'monitors.every' cannot be 0"),
        ({"method": "dino", "options": {"student_temperature": 0}},
         "'options.student_temperature' cannot be 0; it must be above 0"),
        ({"method": "dino", "options": {"momentum": 1.5}}, "it must be from 0 to 1"),
        ({"method": "dino", "options": {"views": {"area": [0.5, 0.2]}}}, "the smaller one stands first"),
        ({"method": "dino", "optimisation": {"betas": [0.9, 1]}}, "'optimisation.betas' cannot be [0.9, 1]"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_by_name(stored: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError) as refusal:
        recipe_of(stored)
    assert said in str(refusal.value)


def test_old_keys_work_and_warn(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("method: dino\noptimisation: {part: 4, batch: 8}\nmeasure: {pictures: 30, every: 7}\n")
    with pytest.warns(FutureWarning, match=r"'optimisation\.part' is now 'optimisation\.micro_batch'"):
        recipe = read_recipe(path)
    assert (recipe.optimisation.micro_batch, recipe.measure.images, recipe.measure.every) == (4, 30, 7)
    for change in ("measure.pictures=5", "measure={pictures: 5, every: 7}"):
        with pytest.warns(FutureWarning, match=r"measure\.pictures"):
            recipe = read_recipe(path, [change])
        assert (recipe.measure.images, recipe.measure.every) == (5, 7)
    path.write_text("method: dino\nmeasure: {pictures: 30, images: 40}\n")
    with pytest.raises(RecipeError, match=r"both 'measure\.pictures' and 'measure\.images'"):
        read_recipe(path)


@pytest.mark.parametrize("old", sorted({**RENAMED_KEYS, **REMOVED_KEYS}))
def test_no_shipped_recipe_has_an_old_key(old: str) -> None:
    section, key = old.split(".")
    for name, (path, _) in shipped().items():
        assert key not in yaml.safe_load(path.read_text()).get(section, {}), name


@pytest.mark.parametrize("name", ["household_zoom", "training/recipes/household_zoom.yaml"])
def test_a_shipped_recipe_keeps_its_old_name(name: str, repository: Path) -> None:
    given = str(repository / name) if "/" in name else name
    with pytest.warns(FutureWarning, match="household_rescoring"):
        path = recipe_path(given)
    assert path.is_file() and path.stem == "household_rescoring"
    changed = read_mapping(path, ["seed=4"])
    assert changed["seed"] == 4
    with pytest.warns(FutureWarning, match="method: rescoring"):
        assert read_mapping(path, ["method=zoom"])["method"] == "rescoring"


@pytest.mark.parametrize("name", METHODS)
def test_every_number_of_a_recipe_has_a_range(name: str) -> None:
    keys = {key for key, _ in numbers(as_mapping(recipe_of({"method": name})))}
    assert keys <= {*RANGES, *(key for key in keys if key.startswith("data.pairs."))}


@pytest.fixture(scope="module")
def captioned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of noise in three colours, with captions and classes."""
    folder, chance = tmp_path_factory.mktemp("captioned"), np.random.default_rng(0)
    with (folder / "table.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "caption", "class"])
        for number in range(36):
            noise = chance.integers(0, 120, (32, 32, 3), np.uint8)
            noise[..., number % 3] += 130
            Image.fromarray(noise).save(folder / f"{number}.png")
            colour = ("red", "green", "blue")[number % 3]
            rows.writerow([f"{number}.png", f"a {colour} wall number {number}", colour])
    return folder / "table.csv"


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_method_runs_from_its_recipe_to_its_end(
    captioned: Path, tmp_path: Path, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    know_a_tiny_teacher(monkeypatch)
    name = "lit" if method == "lit" else f"{method}_scratch"
    changes = [f"output={tmp_path / 'run'}", f"data.path={captioned}", *SMALL, *OPTIONS.get(method, [])]
    recipe = read_recipe(OWN[name], changes)
    assert start(recipe) == "finished"
    log = read_log(tmp_path / "run" / "log.jsonl")
    assert [line["step"] for line in log] == [1, 2, 3]
    assert all(np.isfinite(line["loss"]) for line in log)
    assert "held out/kNN" in log[-1]
    assert ("held out/text to image R@1" in log[-1]) == METHODS[method].texts
    assert load_run(tmp_path / "run", best=False).step == 3


def test_gradient_caching_gives_the_run_of_the_whole_batch(captioned: Path, tmp_path: Path) -> None:
    """In parts of two images, what SimCLR compares is still all eight."""
    losses = []
    for part in (0, 2):
        output = tmp_path / f"part{part}"
        changes = [f"output={output}", f"data.path={captioned}", *SMALL, "options.batch_norm=false",
                   f"optimisation.micro_batch={part}", "optimisation.precision=float32"]  # fmt: skip
        start(read_recipe(OWN["simclr_scratch"], changes))
        losses.append([line["loss"] for line in read_log(output / "log.jsonl")])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.ros
@pytest.mark.slow
def test_the_example_leads_from_a_recording_to_a_model_of_its_own(
    shared: Path, repository: Path, tmp_path: Path
) -> None:
    pytest.importorskip("rclpy")
    recording = str(shared / "data/kitchen_rgbd")
    words = [sys.executable, "examples/bag_to_robot.py", recording, "--out", str(tmp_path), "--name", "mine"]
    small = [word for change in SMALL for word in ("--set", change)]
    words += ["--recipe", "simclr_scratch", "--no-serve", *small]
    first = subprocess.run(words, cwd=repository, capture_output=True, text=True, timeout=300, check=False)
    assert first.returncode == 0, first.stdout[-2000:] + first.stderr[-2000:]
    assert (tmp_path / "dataset/contact_sheet.png").is_file()
    spec = model_spec(str(tmp_path / "model"))
    assert spec.name == "mine" and spec.dim == 48
    # Called again it goes on from what is there.
    again = subprocess.run(words, cwd=repository, capture_output=True, text=True, timeout=300, check=False)
    assert again.returncode == 0 and "data extract" not in again.stdout
