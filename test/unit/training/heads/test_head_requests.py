"""What is wrong with a request of `train head` is said before an encoder is loaded, and all of it at once."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from perception_contrast.core.errors import PerceptionError
from perception_contrast.heads.head_card import HeadCard, HeadSettings
from perception_contrast.heads.head_files import HEAD_FILE, write_head
from perception_contrast.heads.head_networks import network_of
from perception_contrast_training.heads import head_table, head_training
from perception_contrast_training.heads.frame_features import FrameFeatures
from perception_contrast_training.heads.head_table import TableRequest, compare
from perception_contrast_training.heads.head_training import REPORT, HeadRequest, train_head

NAMES = ("cup", "plate", "fork", "knife")


class _Encoder:
    """A grid of four cells; notes that it was made."""

    made = 0

    def __init__(self, *arguments: object, **options: object) -> None:
        type(self).made += 1
        self.space, self.dim, self.source, self.cues, self.patches, self.device = (
            "x@0",
            4,
            "spatial",
            False,
            1,
            "cpu",
        )

    def features(self, image: object, short_side: int) -> FrameFeatures:
        return FrameFeatures(torch.zeros(2, 2, 4).half(), torch.zeros(4))

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _no_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Encoder, "made", 0)
    monkeypatch.setattr(head_training, "FrameEncoder", _Encoder)


def _yolo(folder: Path) -> Path:
    for part in ("train", "valid"):
        for kind in ("images", "labels"):
            (folder / part / kind).mkdir(parents=True)
        for number in range(2):
            Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(folder / part / "images" / f"{number}.png")
            (folder / part / "labels" / f"{number}.txt").write_text("0 .5 .5 .5 .5\n1 .5 .5 .2 .2\n")
    (folder / "data.yaml").write_text(f"names: {json.dumps(NAMES)}\n")
    return folder


def _silent(line: str) -> None:
    pass


def test_an_output_that_takes_no_files_is_told_before_the_features(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    request = HeadRequest(_yolo(tmp_path / "data"), "detection", tmp_path / "file")
    with pytest.raises(PerceptionError, match="nothing can be written to"):
        train_head(request, _silent)
    assert not _Encoder.made and (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("size", [7, 1 << 17])
def test_a_size_that_no_head_can_have_is_told_before_the_features(tmp_path: Path, size: int) -> None:
    request = HeadRequest(_yolo(tmp_path / "data"), "detection", tmp_path / "out", short_side=size)
    with pytest.raises(PerceptionError, match=f"--short-side {size} is not from 14 to"):
        train_head(request, _silent)
    assert not _Encoder.made


def test_all_classes_that_no_frame_shows_are_named_with_the_others(tmp_path: Path) -> None:
    request = HeadRequest(_yolo(tmp_path / "data"), "detection", tmp_path / "out")
    with pytest.raises(PerceptionError, match=r"shows 'fork', 'knife'; .*--classes \"cup, plate\""):
        train_head(request, _silent)


def _run(folder: Path, size: int, frames: list[str]) -> Path:
    card = HeadCard("detection", ("cup", "plate"), "x@0", 4, size, settings=HeadSettings(8, 1))
    write_head(folder / HEAD_FILE, card, network_of(card))
    (folder / REPORT).write_text(json.dumps({"frames": frames}))
    return folder


def test_a_table_tests_no_frame_that_a_head_saw_at_the_size_of_its_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class _Stopped(Exception):
        pass

    asked = []

    def build(*arguments: object, **options: object) -> None:
        asked.append(options["settings"])
        raise _Stopped

    monkeypatch.setattr(head_table, "build", build)
    data = _yolo(tmp_path / "data")
    seen = ["train/images/0.png", "train/images/1.png", "valid/images/0.png", "valid/images/1.png"]
    some, other = _run(tmp_path / "some", 112, seen[:3]), _run(tmp_path / "other", 224, seen)
    with pytest.raises(_Stopped):
        compare(TableRequest(data, (some,), "x"), _silent)
    assert [one.short_side for one in asked] == [112]
    with pytest.raises(PerceptionError, match="no frame that the heads did not see"):
        compare(TableRequest(data, (_run(tmp_path / "all", 112, seen),), "x"), _silent)
    with pytest.raises(PerceptionError, match=r"different sizes \('some' at 112, 'other' at 224\)"):
        compare(TableRequest(data, (some, other), "x"), _silent)
