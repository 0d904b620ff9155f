"""Datasets, folders, archives and tables through one door, alone and in the workers of a DataLoader."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from recordings import drive, image, write
from torch.utils.data import DataLoader

from perception_contrast.core.errors import FrameError, PerceptionError
from perception_contrast_training.data.bags.extract import extract
from perception_contrast_training.data.bags.options import ExtractOptions
from perception_contrast_training.data.datasets.folders import FolderDataset
from perception_contrast_training.data.datasets.open_dataset import open_dataset
from perception_contrast_training.data.datasets.shards import ShardDataset
from perception_contrast_training.data.datasets.tables import TableDataset


def png(number: int) -> bytes:
    return bytes(cv2.imencode(".png", image(number)[..., ::-1])[1])


def put(path: Path, number: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(number))
    return path


def same(sample: Any, number: int) -> bool:
    return bool(np.array_equal(sample["image"].numpy(), image(number).transpose(2, 0, 1)))


@pytest.fixture(scope="module")
def extracted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("extracted")
    bags = [write(folder / f"bag{n}", drive(7, first=10 * n)) for n in range(2)]
    extract(bags, folder / "set", ExtractOptions(shard_frames=3), workers=1)
    return folder / "set"


def test_workers_read_what_one_process_reads(extracted: Path) -> None:
    dataset = open_dataset(extracted)
    alone = {sample["key"]: sample["image"] for sample in (dataset[i] for i in range(len(dataset)))}
    assert len(alone) == len(dataset) == 14
    loader: Any = DataLoader(dataset, batch_size=4, shuffle=True, num_workers=2)  # type: ignore[arg-type]
    read = 0
    for batch in loader:
        for key, shown, pose, group in zip(
            batch["key"], batch["image"], batch["pose"], batch["group"], strict=True
        ):
            assert torch.equal(shown, alone[key]) and pose.shape == (7,) and int(group) in (0, 1)
            read += 1
    assert read == 14
    assert dataset[-1]["index"] == 13
    with pytest.raises(IndexError):
        dataset[14]


def test_transform_is_applied(extracted: Path) -> None:
    dataset = open_dataset(extracted, transform=lambda image: image[:, :8, :8].float() / 255)
    assert dataset[0]["image"].shape == (3, 8, 8) and dataset[0]["image"].dtype == torch.float32


def test_shard_that_was_cut_names_itself(extracted: Path, tmp_path: Path) -> None:
    dataset = ShardDataset(extracted)
    row = dataset.rows.slice(0, 1).to_pylist()[0]
    path = extracted / "shards" / row["shard"]
    whole = path.read_bytes()
    path.write_bytes(whole[: row["offset"] + 10])
    try:
        with pytest.raises(PerceptionError, match=f"{path.name}.*cut short"):
            dataset[0]
    finally:
        path.write_bytes(whole)
    with pytest.raises(PerceptionError, match="is not split"):
        ShardDataset(extracted, "train")


@pytest.mark.parametrize("packed", [False, True])
def test_folders_of_classes(tmp_path: Path, packed: bool) -> None:
    root = tmp_path / "things"
    for number, name in enumerate(("mug/1.png", "mug/2.png", "chair/a.png")):
        put(root / name, number)
    put(root / ".hidden/0.png", 9)
    (root / "mug/notes.txt").write_text("not an image")
    place = root
    if packed:
        place = tmp_path / "things.zip"
        with zipfile.ZipFile(place, "w") as archive:
            for file in sorted(root.rglob("*")):
                archive.write(file, f"things/{file.relative_to(root)}")
    dataset = open_dataset(place)
    assert isinstance(dataset, FolderDataset) and dataset.classes == ("chair", "mug")
    assert [dataset[i]["label"] for i in range(3)] == [0, 1, 1]
    assert same(dataset[0], 2) and same(dataset[1], 0) and same(dataset[2], 1)
    loader: Any = DataLoader(dataset, batch_size=3, num_workers=1)  # type: ignore[arg-type]
    assert next(iter(loader))["label"].tolist() == [0, 1, 1]


def test_flat_folder_has_no_classes(tmp_path: Path) -> None:
    put(tmp_path / "b.png", 1)
    put(tmp_path / "a.png", 0)
    dataset = open_dataset(tmp_path)
    assert dataset.classes == () and dataset[0]["label"] == -1 and same(dataset[0], 0)
    (tmp_path / "a.png").write_bytes(png(0)[:90])
    with pytest.raises(FrameError, match=r"a\.png"):
        dataset[0]


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_tables_of_captions(tmp_path: Path, suffix: str) -> None:
    rows = [
        {"image": str(put(tmp_path / f"in/{n}.png", n).relative_to(tmp_path)), "caption": caption}
        for n, caption in enumerate(("a mug, red", 'a "chair"', "ein Tisch für vier"))
    ]
    path = tmp_path / f"table.{suffix}"
    if suffix == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif suffix == "jsonl":
        path.write_text("\n".join(json.dumps(row) for row in rows))
    else:
        import csv

        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, ["image", "caption"], delimiter="\t" if suffix == "tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    dataset = open_dataset(path)
    assert isinstance(dataset, TableDataset)
    assert [dataset[n]["text"] for n in range(3)] == [row["caption"] for row in rows]
    assert all(same(dataset[n], n) for n in range(3))
    (tmp_path / "in/1.png").unlink()
    with pytest.raises(PerceptionError, match=rf"row 2 of .*table\.{suffix}.*in/1\.png"):
        dataset[1]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("no.csv", "a,b\n1,2\n", "no column of image paths; it has a, b"),
        ("empty.csv", "path,caption\n", "no rows"),
        ("hole.csv", "path,caption\n,a mug\n", "row 1 .* has no 'path'"),
        ("wide.csv", "path,caption\nx.png,a, mug\n", "line 2 .* more fields"),
        ("bad.jsonl", '{"path": "x.png"}\n{"path"\n', "line 2 .* no JSON"),
        ("list.jsonl", "[1]\n", "no JSON object"),
        ("bad.parquet", "nonsense", "cannot be read"),
        ("bad.zip", "nonsense", "is no .zip"),
        ("movie.mp4", "", "no data that can be read"),
    ],
)
def test_what_is_no_data_is_said_clearly(tmp_path: Path, name: str, content: str, said: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(PerceptionError, match=said):
        open_dataset(tmp_path / name)


def test_recordings_and_missing_paths_are_told_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(PerceptionError, match="does not exist"):
        open_dataset(tmp_path / "nowhere")
    bag = write(tmp_path / "bag", drive(1))
    with pytest.raises(PerceptionError, match="data extract"):
        open_dataset(bag)
    (tmp_path / "empty").mkdir()
    with pytest.raises(PerceptionError, match="holds no images"):
        open_dataset(tmp_path / "empty")
    put(tmp_path / "flat/a.png", 0)
    with pytest.raises(PerceptionError, match="has no part 'train'"):
        open_dataset(tmp_path / "flat", part="train")


def test_real_archive_of_classes(shared: Path) -> None:
    dataset = open_dataset(shared / "data/cifar10_10k.zip")
    assert len(dataset) == 10_000 and len(dataset.classes) == 10
    assert dataset[5000]["image"].shape == (3, 32, 32)
