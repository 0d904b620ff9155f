"""The students of lightly-train: what it is given, and how what it learned is read. It is not needed here."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import timm
import torch

from perception_contrast.core.errors import PerceptionError
from perception_contrast.images.files import load_image, save_image
from perception_contrast_training.bench.lightly_train_distillation import (
    Budget,
    Learned,
    adapter_of,
    exported_images,
    learned,
    lightly_train,
)

BUDGET = Budget("dinov2-s14", size=128, batch=4, steps=5)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Twelve images, each of one colour that no other has."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(12):
        save_image(folder / f"{number}.png", np.full((20, 30, 3), number * 20, np.uint8))
    return folder


class _Library(ModuleType):
    """In the place of lightly-train: it notes what it is told to do."""

    def __init__(self) -> None:
        super().__init__("lightly_train")
        self.runs: list[dict[str, Any]] = []

    def pretrain(self, **settings: Any) -> None:
        run = Path(settings["out"])
        (run / "checkpoints").mkdir(parents=True, exist_ok=True)
        (run / "checkpoints" / "last.ckpt").touch()
        rows = [
            {"step": 0},
            *({"profiling/batch_time": s, "profiling/data_time": 0.5} for s in (9.0, 2.0, 3.0)),
        ]
        (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        self.runs.append(settings)


def test_a_missing_library_is_told_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightly_train", None)
    with pytest.raises(PerceptionError, match="pip install lightly-train"):
        lightly_train()


def test_it_learns_from_the_images_that_distill_would_not_keep_back(images: Path, tmp_path: Path) -> None:
    folder = exported_images([images], tmp_path / "out")
    colours = {int(load_image(path)[0, 0, 0]) for path in folder.iterdir()}
    assert len(colours) == len(list(folder.iterdir())) == 11  # 2 % of 12 is one image
    assert colours < {number * 20 for number in range(12)}


def test_it_gets_the_same_budget_and_a_finished_run_is_not_run_again(images: Path, tmp_path: Path) -> None:
    library = _Library()
    for _ in range(2):
        student = learned("resnet18", images, tmp_path / "teacher.pt", BUDGET, library, tmp_path / "run")
    assert student.seconds == 3.5  # the median, not the slow first step
    (run,) = library.runs
    assert run["trainer_args"] == {"max_steps": 5}
    assert run["epochs"] == 2  # three batches each
    assert run["batch_size"] == 4
    assert run["transform_args"] == {"image_size": (126, 126)}  # nine patches of 14 pixels
    assert run["model"] == "timm/resnet18"
    assert run["method_args"]["teacher"] == "dinov2/vits14-noreg"


def test_a_run_that_was_stopped_is_gone_on_with(images: Path, tmp_path: Path) -> None:
    library, run = _Library(), tmp_path / "run"
    for _ in range(2):
        learned("resnet18", images, tmp_path / "teacher.pt", BUDGET, library, run)
        (run / "finished").unlink()
    assert [one["resume_interrupted"] for one in library.runs] == [False, True]
    assert [one["overwrite"] for one in library.runs] == [True, False]


def test_too_few_images_are_refused(images: Path, tmp_path: Path) -> None:
    many = Budget("dinov2-s14", size=128, batch=64, steps=5)
    with pytest.raises(PerceptionError, match="12 images make no batch of 64"):
        learned("resnet18", images, tmp_path / "teacher.pt", many, _Library(), tmp_path / "run")


def test_what_it_learned_is_its_last_map(tmp_path: Path) -> None:
    network = timm.create_model("resnet18").eval()
    weights = tmp_path / "exported.pt"
    torch.save(network.state_dict(), weights)
    alone = adapter_of(Learned("resnet18", weights, 1.0), BUDGET)
    image = torch.randn(1, 3, 128, 128)
    assert alone.encoder is not None
    with torch.inference_mode():
        cells = network.forward_features(image).permute(0, 2, 3, 1)
        torch.testing.assert_close(alone.encoder.encode(image)[0], cells)
    assert alone.size == 128
