"""The short way: recordings and folders in, a model out; stopped runs go on; mistakes are one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from distilled_runs import noise_images, random_images, word_teacher
from recordings import drive, write
from tiny_pairs import know_tiny_models

import perception_contrast_training.engine.pretraining as pretraining
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.process.early_exit import EXIT_INTERRUPTED
from perception_contrast.encoders.dinov2 import load_dino
from perception_contrast_training.cli.distill_command import main as command
from perception_contrast_training.data.datasets.folders import FolderDataset
from perception_contrast_training.data.datasets.frame_lists import read_frame_lists
from perception_contrast_training.data.datasets.joined import Joined
from perception_contrast_training.distillation.distilling import distill

SMALL = (
    "data.workers=0", "optimisation.batch=4", "options.statistics=4", "options.views.crops=1",
    "checkpoints.every=1", "backbone.channels=16", "tensorboard=false", "options.cache.folder={cache}",
)  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("distilling")


@pytest.fixture(scope="module")
def teacher(place: Path) -> str:
    with pytest.MonkeyPatch.context() as patch:
        know_tiny_models(patch)
        return str(word_teacher(place / "pair"))


def test_recordings_and_folders_become_a_model_and_a_stopped_run_goes_on(
    place: Path, teacher: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = write(place / "bag", drive(6))
    photos = noise_images(place / "photos", 5)
    changes = [word for one in SMALL for word in ("--set", one.format(cache=place / "cache"))]
    argv = [str(bag), str(photos), "--teacher", teacher, "--student", "resnet10t", "--size", "32",
            "--steps", "2", "--output", str(place / "run"), *changes]  # fmt: skip
    # Ctrl-C after the first step.
    run = pretraining.run_training
    with monkeypatch.context() as patch:

        def stopped(trainer: object, *given: object, **more: object) -> str:
            run(trainer, *given, **more)  # type: ignore[arg-type]
            (place / "run" / "checkpoints" / "step_000000002.safetensors").unlink()
            return "interrupted"

        patch.setattr(pretraining, "run_training", stopped)
        assert command(argv) == EXIT_INTERRUPTED
    assert "the same call goes on" in capsys.readouterr().err
    assert not (place / "run" / "model").exists()
    assert command(argv) == 0
    assert str(place / "run" / "model") in capsys.readouterr().out
    lists = read_frame_lists(place / "run")
    assert lists is not None and len(lists.learned) > 5  # of both
    assert load_dino(str(place / "run" / "model")).encode(random_images())[0].shape[1:3] == (2, 2)


def test_the_one_liner_exports_where_it_is_told(place: Path, teacher: str) -> None:
    photos = noise_images(place / "few", 6)
    changes = [one.format(cache=place / "cache") for one in SMALL]
    folder = distill(
        photos, teachers=teacher, student="resnet10t", output=place / "second", to=place / "small",
        name="mine", size=32, steps=1, changes=changes,
    )  # fmt: skip
    assert folder == place / "small"
    assert load_dino(str(folder)).model == "mine"
    # Another network is not what lies there, and must not pass for it.
    for other, said in (
        ({"student": "resnet14t"}, "--student resnet10t, not resnet14t"),
        ({"size": 64}, "--size 32"),
    ):
        asked: dict[str, Any] = {"student": "resnet10t", "size": 32, **other}
        with pytest.raises(PerceptionError, match=f"the run in '.*second' has {said}.*another --output"):
            distill(photos, teachers=teacher, output=place / "second", changes=changes, **asked)


@pytest.mark.parametrize("taken", ["output", "to"])
def test_an_output_that_takes_no_files_is_told_before_the_first_step(
    place: Path, teacher: str, taken: str, tmp_path: Path
) -> None:
    photos = noise_images(tmp_path / "few", 6)
    (tmp_path / "file").write_text("mine")
    where = {"output": tmp_path / "run", "to": tmp_path / "small", taken: tmp_path / "file"}
    changes = [one.format(cache=place / "cache") for one in SMALL]
    with pytest.raises(PerceptionError, match=r"file' .*name (another|a) folder"):
        distill(photos, teachers=teacher, student="resnet10t", size=32, steps=1, changes=changes, **where)
    assert not (tmp_path / "run" / "checkpoints").exists() and (tmp_path / "file").read_text() == "mine"


def test_joined_data_sets_keep_every_image_under_a_name_of_its_own(tmp_path: Path) -> None:
    parts = [FolderDataset(noise_images(tmp_path / name, count)) for name, count in (("a", 3), ("b", 2))]
    joined = Joined(parts)
    assert len(joined) == 5 and len(set(joined.names)) == 5
    for index in range(5):
        source = parts[0][index] if index < 3 else parts[1][index - 3]
        assert (joined[index]["image"] == source["image"]).all()
        assert joined[index]["index"] == index
    with pytest.raises(IndexError):
        joined[5]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["/nowhere"], "data '/nowhere' does not exist"),
        (["{photos}", "--student", "resnet1"], "unknown model 'resnet1'"),
        (["{photos}", "--teacher", "dinov2-s13"], "did you mean dinov2-s14"),
        (["{photos}", "--set", "backbone.stride=12"], "no stage of this network has a stride of 12 pixels"),
        (["{photos}", "--size", "7"], "images of 7 pixels are smaller than a cell of 'resnet18'; choose"),
        (["{photos}", "--set", "options.teacher=dinov2-s14"], "did you mean 'teachers'"),
        (["{photos}", "--student", "vit_tiny_patch16_224", "--set", "backbone.stride=8"], "its patches"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_and_writes_nothing(more: list[str], said: str, tmp_path: Path) -> None:
    photos = noise_images(tmp_path / "photos", 4)
    given = [*(one.format(photos=photos) for one in more), "--set", "optimisation.batch=2"]
    with pytest.raises(PerceptionError) as error:
        command([*given, "--output", str(tmp_path / "run"), "--check"])
    assert said in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()
