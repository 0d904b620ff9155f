"""Images as they lie in folders: which folders are classes, and `data info|dedup|split|view` on them."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from perception_contrast.cli.main import main
from perception_contrast.images.files import load_image
from perception_contrast_training.data.datasets.folder_classes import class_folders, names_a_recording
from perception_contrast_training.data.datasets.manifest import DUPLICATES, SPLIT, read_table
from perception_contrast_training.data.datasets.open_dataset import open_dataset


def put(path: Path, seed: int, size: tuple[int, int] = (48, 64)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def spoil(folder: Path) -> None:
    """What real folders hold beside images: hidden remains, a link to nowhere, a damaged file, a text."""
    (folder / "._1.png").write_bytes(b"remains of a copy")
    (folder / "gone.png").symlink_to(folder / "nowhere.png")
    (folder / "broken.png").write_bytes((folder / "1.png").read_bytes()[:60])
    (folder / "notes.txt").write_text("not an image")


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Bytes and times of all files but what the commands may add."""
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".parquet"
    }


@pytest.mark.parametrize(
    "name",
    [
        *("2026-11-29", "20261129", "29.11.2026", "2026-1-9", "29_nov", "november_2026", "14-30-05"),
        *("monday", "Tuesday morning", "run_001", "Run1", "bag-3", "rosbag2_2026_11_29-10_00_00", "my.bag"),
        *("session 4", "kitchen_run_3", "1795994433", "1795994433226177933"),
    ],
)
def test_names_of_days_and_recordings(name: str) -> None:
    assert names_a_recording(name)


@pytest.mark.parametrize(
    "name",
    # Classes of ImageNet, CIFAR, MNIST and others, and words that are part of the rule's own.
    [
        *("n02026059", "n01440764", "airplane", "7", "007", "mug", "class_1", "cup_2", "may", "sun", "bag"),
        *("1000", "camera", "march", "35mm", "marble", "seq", "decade", "scenery"),
    ],
)
def test_names_of_classes(name: str) -> None:
    assert not names_a_recording(name)


@pytest.mark.parametrize(
    ("folders", "rule", "expected"),
    [
        (["chair", "mug"], "auto", ["chair", "mug"]),
        (["monday", "tuesday"], "auto", ["", ""]),
        (["monday", "tuesday"], "folders", ["monday", "tuesday"]),
        (["chair", "mug"], "none", ["", ""]),
        # A recording within a class is no class of its own.
        (["mug/run_001", "mug/run_002", "cup/run_001"], "auto", ["mug", "mug", "cup"]),
        (["2026-11-29/mug", "2026-11-30/cup"], "auto", ["mug", "cup"]),
        # One day among others tells that the rest are none either.
        (["2026-11-29", "misc"], "auto", ["", ""]),
        # Images beside the folders of classes have no class.
        ([".", "chair", "mug"], "auto", ["", "chair", "mug"]),
        ([".", "old"], "auto", ["", ""]),
        (["only"], "folders", [""]),
    ],
)
def test_the_rule_of_classes(folders: list[str], rule: str, expected: list[str]) -> None:
    assert class_folders(folders, rule) == expected


def test_folders_of_days_are_classes_only_if_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for day in ("2026-11-29", "2026-11-30"):
        put(tmp_path / day / "1.png", 1)
    with caplog.at_level(logging.INFO):
        plain = open_dataset(tmp_path)
    assert plain.classes == () and {plain[i]["label"] for i in range(2)} == {-1}
    assert "2026-11-29" in caplog.text and "classes=folders" in caplog.text
    said = open_dataset(tmp_path, classes="folders")
    assert said.classes == ("2026-11-29", "2026-11-30") and [said[i]["label"] for i in range(2)] == [0, 1]


def test_info_counts_and_names_what_cannot_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "photos"
    for number in range(4):
        put(folder / f"{number}.png", number, (48, 64) if number else (20, 30))
    spoil(folder)
    before = contents(folder)
    assert main(["data", "info", str(folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["images"] == 5 and found["sizes"] == {"64x48": 3, "30x20": 1}
    assert found["classes"] == {} and found["folders"] == {".": 5}
    assert len(found["unreadable"]) == 2
    assert "gone.png" in found["unreadable"][0] and "broken.png" in found["unreadable"][1]
    assert main(["data", "info", str(folder)]) == 0
    told = capsys.readouterr().out
    assert "5 images" in told and "2 image(s) cannot be read" in told and "._1.png" not in told
    assert contents(folder) == before


def test_dedup_marks_and_readers_leave_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "photos"
    for number, seed in enumerate((1, 2, 1, 3)):
        put(folder / f"{number}.png", seed)
    spoil(folder)
    before = contents(folder)
    assert main(["data", "dedup", str(folder), "--descriptor", "thumbnail"]) == 0
    told = capsys.readouterr().out
    assert "1 of 5 frames are near-duplicates" in told and "broken.png" in told
    rows = {row["key"]: row for row in read_table(folder / DUPLICATES).to_pylist()}
    assert rows["2.png"]["duplicate_of"] == "0.png" and rows["2.png"]["similarity"] > 0.99
    assert rows["0.png"]["cluster"] == rows["2.png"]["cluster"] != rows["3.png"]["cluster"]
    assert not rows["broken.png"]["duplicate"] and rows["broken.png"]["cluster"] == -1
    assert sorted(open_dataset(folder).names) == ["0.png", "1.png", "3.png", "broken.png"]  # type: ignore[attr-defined]
    assert len(open_dataset(folder, duplicates=True)) == 5
    assert contents(folder) == before


def parts_of(folder: Path) -> dict[str, str]:
    table = read_table(folder / SPLIT)
    return dict(zip(table["key"].to_pylist(), table["part"].to_pylist(), strict=True))


def test_a_flat_folder_is_split_in_the_order_of_names(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    for number in range(20):
        put(folder / f"frame{number}.png", number)
    before = contents(folder)
    assert main(["data", "split", str(folder), "--parts", "train=0.8,val=0.2"]) == 0
    parts = parts_of(folder)
    # Numbers by value: frame2 lies before frame10.
    assert [parts[f"frame{n}.png"] for n in range(20)] == ["train"] * 16 + ["val"] * 4
    assert len(open_dataset(folder, part="val")) == 4
    assert contents(folder) == before
    # A guard counts images.
    assert main(["data", "split", str(folder), "--parts", "train=0.8,val=0.2", "--guard-time", "3"]) == 0
    assert [parts_of(folder)[f"frame{n}.png"] for n in (13, 14, 15, 16)] == [
        "train",
        "unused",
        "unused",
        "val",
    ]


def test_each_class_is_split_and_recordings_stay_whole(tmp_path: Path) -> None:
    for name in ("cup", "mug"):
        for number in range(10):
            put(tmp_path / "things" / name / f"{number}.png", number)
    assert main(["data", "split", str(tmp_path / "things")]) == 0
    by_class: dict[str, list[str]] = {"cup": [], "mug": []}
    for key, part in parts_of(tmp_path / "things").items():
        by_class[key.split("/")[0]].append(part)
    for parts in by_class.values():
        assert [parts.count(part) for part in ("train", "val", "test")] == [8, 1, 1]
    for number in range(20):
        put(tmp_path / "drives" / f"run_{number % 4}" / f"{number}.png", number)
    assert main(["data", "split", str(tmp_path / "drives")]) == 0
    of_run: dict[str, set[str]] = {}
    for key, part in parts_of(tmp_path / "drives").items():
        of_run.setdefault(key.split("/")[0], set()).add(part)
    assert all(len(parts) == 1 for parts in of_run.values())
    assert set().union(*of_run.values()) == {"train", "val", "test"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["split", "photos", "--by", "place"], "no poses"),
        (["split", "photos", "--by", "bag"], "1 recording"),
        (["split", "photos.zip"], "unpack it"),
        (["dedup", "photos.zip", "--descriptor", "thumbnail"], "unpack it"),
        (["info", "empty"], "holds no images"),
    ],
)
def test_what_cannot_be_done_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    import zipfile

    (tmp_path / "empty").mkdir()
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for number in range(4):
            archive.write(put(tmp_path / "photos" / f"{number}.png", number), f"{number}.png")
    action, path, *rest = arguments
    assert main(["data", action, str(tmp_path / path), *rest]) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.parquet"))


def test_view_draws_a_sheet_elsewhere(tmp_path: Path, monkeypatch: Any, caplog: Any) -> None:
    folder, here = tmp_path / "photos", tmp_path / "here"
    for number in range(3):
        put(folder / f"{number}.png", number)
    spoil(folder)
    before, _ = contents(folder), here.mkdir()
    monkeypatch.chdir(here)
    assert main(["data", "view", str(folder)]) == 0
    assert load_image(here / "photos_view" / "contact_sheet.png").shape[1] == 4 * 204 + 4
    assert [file.name for file in (here / "photos_view").iterdir()] == ["contact_sheet.png"]
    assert "broken.png" in caplog.text and contents(folder) == before
