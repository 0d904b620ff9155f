"""One rule for which files are images, at every entry point: what can be read is, the rest is told."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from perception_contrast.cli.find.find_sources import find_sources
from perception_contrast.core.errors import PerceptionError
from perception_contrast.pipeline.detector.image_inputs import frames_of
from perception_contrast_training.data.datasets.open_dataset import open_dataset
from perception_contrast_training.data.datasets.subset import left_out_files
from perception_contrast_training.data.loading.batches import UNREADABLE_FILES, batches
from perception_contrast_training.data.loading.order import Order
from perception_contrast_training.evaluation.readers.classes import ClassFolder
from perception_contrast_training.evaluation.readers.coco import CocoSet
from perception_contrast_training.evaluation.readers.folders import LabelFolder
from perception_contrast_training.evaluation.readers.mot import MotFolder
from perception_contrast_training.evaluation.readers.types import Skipped
from perception_contrast_training.evaluation.readers.videos import FrameSequence
from perception_contrast_training.household.labelled import LabelledFolder

SIZE = (24, 32)
GOOD = ("1.jpg", "2.png", "4.webp", "5.bmp", "7.tiff", "9.TIF", "10.JPEG", "11.png")
TURNED = "10.JPEG"
"""Stored with EXIF orientation 6: applied nowhere, so its size stays."""
BAD = ("3.jpg", "6.png", "8.jpg")
"""Empty, text, and cut short."""
GONE = "12.png"
"""A link to nowhere."""
ODD = b"13_caf\xe9.png"
SILENT = ("._1.jpg", ".hidden.png", "folder.jpg")
VANISHING = "11.png"
"""Deleted once the reader has listed the folder."""


def pixels(number: int) -> np.ndarray:
    """One colour for each number, with a bright corner, so that turning would show."""
    image = np.full((*SIZE, 3), 10 * number, np.uint8)
    image[:6, :8] = 255
    return image


def image_folder(folder: Path) -> Path:
    """GOOD, BAD, GONE, ODD and SILENT in one folder."""
    folder.mkdir(parents=True)
    for name in GOOD:
        stored, options = Image.fromarray(pixels(int(Path(name).stem))), dict[str, Any]()
        if name == TURNED:
            options["exif"] = Image.Exif()
            options["exif"][0x0112] = 6
        if name.endswith("webp"):
            options["lossless"] = True
        stored.save(folder / name, **options)
    (folder / BAD[0]).write_bytes(b"")
    (folder / BAD[1]).write_text("no image")
    (folder / BAD[2]).write_bytes((folder / "1.jpg").read_bytes()[:300])
    (folder / GONE).symlink_to(folder / "nowhere.png")
    Path(os.fsdecode(os.fsencode(folder) + b"/" + ODD)).write_bytes((folder / "2.png").read_bytes())
    (folder / SILENT[0]).write_bytes(b"\0\5\x16\7" * 20)
    Image.fromarray(pixels(0)).save(folder / SILENT[1])
    (folder / SILENT[2]).mkdir()
    return folder


def labels_beside(folder: Path) -> None:
    """labels/ and classes.txt for images/; the labels of 4 are damaged."""
    (folder / "labels").mkdir()
    for name in (*GOOD, *BAD, GONE):
        cv2.imwrite(str(folder / "labels" / f"{Path(name).stem}.png"), np.zeros(SIZE, np.uint8))
    (folder / "labels" / "4.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    (folder / "classes.txt").write_text("red\nblue\n")


Read = Callable[[Path, Callable[[], None]], tuple[list[int], str]]
"""Reads a folder, and calls what is given once it has listed it: the numbers of the images that came out,
and what was told."""


def number_of(image: np.ndarray) -> int:
    """The number of the image whose pixels these are; refuses a turned one."""
    assert image.shape == (*SIZE, 3) and (image[0, 0] > 240).all()
    return round(float(image[-1].mean()) / 10)


def told(skipped: Skipped) -> str:
    return "\n".join(f"{name}: {reason}" for name, reason in skipped.files.items())


@contextlib.contextmanager
def logged() -> Iterator[list[str]]:
    lines: list[str] = []

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    handler = Keeper()
    logging.getLogger().addHandler(handler)
    try:
        yield lines
    finally:
        logging.getLogger().removeHandler(handler)


def python_api(folder: Path, listed: Callable[[], None]) -> tuple[list[int], str]:
    with logged() as lines:
        frames = frames_of(image_folder(folder))
        listed()
        return [number_of(frame.image) for frame in frames], "\n".join(lines)


def find(folder: Path, listed: Callable[[], None]) -> tuple[list[int], str]:
    with logged() as lines:
        found = find_sources([image_folder(folder)])
        listed()
        read = [one for source in found.sources for one in source.frames(0)]
    errors = [*found.left_out, *(one.error for one in read if one.error)]
    return [number_of(one.frame.image) for one in read if one.frame is not None], "\n".join(lines + errors)


def segmentation(folder: Path, listed: Callable[[], None]) -> tuple[list[int], str]:
    image_folder(folder / "images")
    labels_beside(folder)
    data = LabelFolder(folder, ["red", "blue"], [255], skipped := Skipped())
    listed()
    return [number_of(one.image) for one in data], told(skipped)


def calibration(folder: Path, listed: Callable[[], None]) -> tuple[list[int], str]:
    image_folder(folder / "images")
    labels_beside(folder)
    data = LabelledFolder(folder, skipped := Skipped())
    listed()
    return [number_of(rgb) for rgb, _ in data.images(data.pairs)], told(skipped)


def sequence(folder: Path, listed: Callable[[], None]) -> tuple[list[int], str]:
    image_folder(folder / "images")
    labels_beside(folder)
    data = FrameSequence(folder, skipped := Skipped())
    listed()
    found = []
    for name, frame in data:
        data.labels(name, frame.size)
        found.append(number_of(frame.image))
    return found, told(skipped)


def detection(folder: Path, listed: Callable[[], None]) -> tuple[list[int], str]:
    image_folder(folder / "images")
    names = [GONE, *GOOD, *BAD]
    images = [
        {"id": number, "file_name": name, "height": SIZE[0], "width": SIZE[1]}
        for number, name in enumerate(names)
    ]
    content = {"images": images, "annotations": [], "categories": [{"id": 1, "name": "mug"}]}
    (folder / "coco.json").write_text(json.dumps(content))
    data = CocoSet(folder / "coco.json", None, skipped := Skipped())
    listed()
    return [number_of(one.image) for one in data], told(skipped)


def tracks(folder: Path, listed: Callable[[], None]) -> tuple[list[int], str]:
    image_folder(folder / "img1")
    (folder / "gt").mkdir()
    rows = [f"{number},{number},1,1,5,5,1,1" for number in range(1, 15)]
    (folder / "gt" / "gt.txt").write_text("\n".join(rows))
    data = MotFolder(folder, ["mug"], skipped := Skipped())
    listed()
    found = []
    for one in data:
        found.append(number_of(one.image))
        # Files that are left out keep their number, so boxes stay with their frame.
        assert [thing.track for thing in one.things] == [Path(one.name).stem]
    return found, told(skipped)


def classes(folder: Path, listed: Callable[[], None]) -> tuple[list[int], str]:
    image_folder(folder / "mug")
    data = ClassFolder(folder, skipped := Skipped())
    listed()
    return [number_of(one.image) for one in data], told(skipped)


def training(folder: Path, listed: Callable[[], None]) -> tuple[list[int], str]:
    with logged():
        data = open_dataset(str(image_folder(folder)))
    listed()
    found, refused = [], []
    for index in range(len(data)):
        try:
            found.append(number_of(np.asarray(data[index]["image"]).transpose(1, 2, 0)))
        except PerceptionError as error:
            refused.append(str(error))
    batch = next(iter(batches(data, lambda image, generator: {"x": torch.zeros(1)}, Order(len(data), 8, 0))))
    lines = [line for lines in batch[UNREADABLE_FILES] for line in lines.splitlines()]
    return found, "\n".join([*left_out_files(data), *refused, *lines])


ENTRIES: dict[str, Read] = {
    "playback and the Python API": python_api,
    "find": find,
    "eval seg": segmentation,
    "eval propagate": sequence,
    "eval det": detection,
    "eval track": tracks,
    "eval classify": classes,
    "calibrate": calibration,
    "training": training,
}


@pytest.mark.parametrize("entry", ENTRIES)
def test_what_cannot_be_read_is_told_and_ends_nothing(tmp_path: Path, entry: str) -> None:
    folder = tmp_path / "data"

    def listed() -> None:
        for file in folder.rglob(VANISHING):
            if file.parent.name != "labels":
                file.unlink()

    found, said = ENTRIES[entry](folder, listed)
    # The order is that of each reader; the labels of 4 are damaged, where there are any.
    labelled = entry in ("eval seg", "calibrate")
    expected = [1, 2, 4, 5, 7, 9, 10]
    assert sorted(found) == [number for number in expected if not (labelled and number == 4)]
    names = [*BAD, GONE, VANISHING]
    if entry != "eval det":  # its file names the images
        names.append("13_caf\N{REPLACEMENT CHARACTER}.png")
    if entry in ("eval seg", "calibrate", "eval propagate"):
        names.append("labels/4.png")
    assert [name for name in names if name not in said] == []
    assert not [name for name in SILENT if name in said]
    said.encode("utf-8")


@pytest.mark.parametrize("damage", ["deflate", "header"])
def test_a_damaged_member_of_an_archive_is_left_out(tmp_path: Path, damage: str) -> None:
    """Its class folder called as an image is none, and neither is a hidden file."""
    path = tmp_path / "data.zip"
    encoded = cv2.imencode(".bmp", pixels(1)[..., ::-1])[1].tobytes()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir("mug.jpg") if hasattr(archive, "mkdir") else archive.writestr("mug.jpg/", b"")
        for name in ("mug.jpg/1.bmp", "mug.jpg/2.bmp", "__MACOSX/mug.jpg/._1.bmp"):
            archive.writestr(name, encoded)
    data = bytearray(path.read_bytes())
    begin = data.index(b"mug.jpg/2.bmp")
    place = begin + len("mug.jpg/2.bmp") if damage == "deflate" else begin - 30
    data[place : place + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    skipped = Skipped()
    assert [number_of(one.image) for one in ClassFolder(path, skipped)] == [1]
    assert list(skipped.files) == ["mug.jpg/2.bmp"]
    dataset = open_dataset(str(path))
    assert len(dataset) == 2 and number_of(np.asarray(dataset[0]["image"]).transpose(1, 2, 0)) == 1
    with pytest.raises(PerceptionError, match=r"mug\.jpg/2\.bmp"):
        dataset[1]


def test_a_turned_image_is_named_where_its_labels_are_upright(tmp_path: Path) -> None:
    image_folder(tmp_path / "images")
    labels_beside(tmp_path)
    cv2.imwrite(str(tmp_path / "labels" / "10.png"), np.zeros(SIZE[::-1], np.uint8))
    with pytest.raises(PerceptionError, match="EXIF orientation 6"):
        list(LabelFolder(tmp_path, ["red"], [255], Skipped()))
    data = LabelledFolder(tmp_path, Skipped())
    with pytest.raises(PerceptionError, match="EXIF orientation 6"):
        list(data.images(data.pairs))


@pytest.mark.ros
def test_the_player_tells_what_it_leaves_out(tmp_path: Path, repository: Path) -> None:
    folder = image_folder(tmp_path / "data")
    words = ["--source", "images", str(folder), "--ros-args", "-p", "images_rate:=100.0"]
    done = subprocess.run(
        [sys.executable, "-m", "perception_contrast.nodes.bag_player", *words],
        cwd=repository,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert [name for name in (*BAD, GONE, "13_caf") if name not in said] == []
    assert "Traceback" not in said and not [name for name in SILENT if name in said]
