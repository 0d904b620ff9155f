"""A run goes on and is exported with the images that it began with, whatever the folder holds by then."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.config.pretraining_recipe import PretrainRecipe, recipe_of
from perception_contrast_training.data.datasets.frame_lists import (
    FRAME_LISTS,
    chosen_by,
    frame_lists_of,
    read_frame_lists,
    write_frame_lists,
)
from perception_contrast_training.data.datasets.open_dataset import open_dataset
from perception_contrast_training.data.datasets.subset import Chosen, image_names
from perception_contrast_training.engine.checkpoint import read_snapshot
from perception_contrast_training.engine.pretraining import resume, start
from perception_contrast_training.engine.resume import checkpoints_of
from perception_contrast_training.export.export_run import FIGURES, export_run

VIT = {"name": "vit_tiny_patch16_224", "size": 32, "patch": 16, "width": 24, "depth": 1, "heads": 2}


def add_images(folder: Path, names: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        chance = np.random.default_rng(len(name) + sum(map(ord, name)))
        Image.fromarray(chance.integers(0, 255, (32, 32, 3), np.uint8)).save(folder / f"{name}.png")


def recipe(images: Path | str, output: Path, steps: int) -> PretrainRecipe:
    return recipe_of(
        {
            "method": "simclr", "name": "tiny", "output": str(output), "backbone": VIT, "tensorboard": False,
            "data": {"path": str(images), "workers": 0, "held_out": 0.25},
            "optimisation": {"steps": steps, "batch": 4, "warm_up": 1}, "options": {"dim": 8},
            "checkpoints": {"every": 2}, "measure": {"every": 0}, "monitors": {"alarms": "none"},
            "as_written": True,
        }
    )  # fmt: skip


def test_a_run_goes_on_with_its_own_images_after_others_came_and_all_moved(tmp_path: Path) -> None:
    """The end is that of a run whose folder stayed as it was, bit for bit."""
    names = [f"{number:02d}" for number in range(16)]
    add_images(tmp_path / "a", names)
    assert start(recipe(tmp_path / "a", tmp_path / "whole", 6)) == "finished"
    assert start(recipe(tmp_path / "a", tmp_path / "broken", 6)) == "finished"
    for step in (4, 6):  # as if it had been cut off after step 4; the last two checkpoints stay
        path = checkpoints_of(tmp_path / "broken").path_of(step)
        assert path.is_file()
    path.unlink()
    shutil.move(tmp_path / "a", tmp_path / "b")
    add_images(tmp_path / "b", ["before", "00a", "zz"])
    with pytest.raises(PerceptionError, match="does not exist; say with --data"):
        resume(tmp_path / "broken")
    assert resume(tmp_path / "broken", data=str(tmp_path / "b")) == "finished"
    whole, broken = (
        read_snapshot(checkpoints_of(tmp_path / name).path_of(6)).method for name in ("whole", "broken")
    )
    assert all(torch.equal(whole[name], broken[name]) for name in whole)


def test_data_path_is_absolute_and_an_export_from_scratch_needs_no_data(tmp_path: Path) -> None:
    add_images(tmp_path / "images", [f"{number:02d}" for number in range(12)])
    here = Path.cwd()
    os.chdir(tmp_path)
    try:
        start(recipe("images", Path("run"), 2))
    finally:
        os.chdir(here)
    stored = yaml.safe_load((tmp_path / "run" / "recipe.yaml").read_text())
    assert stored["data"]["path"] == str(tmp_path / "images")
    shutil.rmtree(tmp_path / "images")
    export_run(tmp_path / "run", tmp_path / "out")
    figures = json.loads((tmp_path / "out" / FIGURES).read_text())
    assert figures["pictures"] == {"learned from": 9, "held out": 3}


def test_listed_images_are_found_again_in_their_order(tmp_path: Path) -> None:
    add_images(tmp_path / "images", ["c", "a", "d", "b"])
    images = open_dataset(tmp_path / "images")
    lists = frame_lists_of(Chosen(images, [3, 0]), Chosen(images, [2]))
    write_frame_lists(tmp_path, lists)
    assert read_frame_lists(tmp_path) == lists and read_frame_lists(tmp_path / "images") is None
    add_images(tmp_path / "images", ["0", "bb"])
    now = open_dataset(tmp_path / "images")
    learned, held = (chosen_by(one, now, "here", exact=True) for one in (lists.learned, lists.held))
    assert image_names(learned) == ["d.png", "a.png"] and image_names(held) == ["c.png"]


def test_images_that_are_gone_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    add_images(tmp_path / "images", ["a", "b", "c"])
    lists = frame_lists_of(open_dataset(tmp_path / "images"), None)
    (tmp_path / "images" / "b.png").unlink()
    now = open_dataset(tmp_path / "images")
    with pytest.raises(PerceptionError, match=r"1 of the 3 images .* 'here'.*--data"):
        chosen_by(lists.learned, now, "here", exact=True)
    assert image_names(chosen_by(lists.learned, now, "here", exact=False)) == ["a.png", "c.png"]
    assert "1 of 3 images" in caplog.text
    assert chosen_by(lists.held, now, "here", exact=True) is None


def test_rows_of_a_table_that_name_one_image_are_taken_once_each(tmp_path: Path) -> None:
    add_images(tmp_path, ["a"])
    (tmp_path / "t.csv").write_text("path,caption\na.png,one\na.png,two\na.png,one\n")
    table = open_dataset(tmp_path / "t.csv")
    found = chosen_by(frame_lists_of(table, None).learned, table, "here", exact=True)
    assert isinstance(found, Chosen) and sorted(found.indices) == [0, 1, 2]


def test_a_damaged_list_is_told(tmp_path: Path) -> None:
    (tmp_path / FRAME_LISTS).write_text('{"learned": 3')
    with pytest.raises(PerceptionError, match="cannot be read"):
        read_frame_lists(tmp_path)
