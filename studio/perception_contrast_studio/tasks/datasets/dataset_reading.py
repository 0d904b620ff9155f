"""Reads what is known of a dataset's frames: the tables that the `data` commands wrote, or a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from perception_contrast.core.errors import PerceptionError
from perception_contrast.images.file_listing import IMAGE_SUFFIXES, list_images
from perception_contrast_studio.components.dataset.dataset_frames import NO_PART, DatasetFrames
from perception_contrast_studio.workers.worker_process import Report
from perception_contrast_training.data.bags.plan import read_plan
from perception_contrast_training.data.datasets.manifest import (
    DESCRIPTION,
    DUPLICATES,
    MANIFEST,
    SHARDS,
    SPLIT,
    read_facts,
    read_table,
)

MEASURES = ("sharpness", "brightness", "change", "similarity")
_COLUMNS = (
    "key", "shard", "file", "offset", "size", "bag", "topic", "stamp", "height", "width", "pose", *MEASURES,
)  # fmt: skip


def describe(report: Report, folder: str) -> DatasetFrames:
    """What is known of a dataset.

    Args:
        report: Progress.
        folder: That `data extract` made, finished or not, or one of images.

    Raises:
        PerceptionError: It is none of these, or a table is damaged.
    """
    path = Path(folder)
    report(0.1, "reading the tables")
    if (path / MANIFEST).is_file() or (path / DESCRIPTION).is_file():
        return _extracted(path)
    # As training's reader of folders lists them, which would load torch.
    listing = list_images(path, recursive=True)
    names = tuple(sorted(file.relative_to(path).as_posix() for file in listing.files))
    if not names:
        raise PerceptionError(
            f"'{path}' holds neither a dataset nor images ({', '.join(IMAGE_SUFFIXES)}); check --dataset"
        )
    return _of_folder(path, names)


def _extracted(path: Path) -> DatasetFrames:
    finished = (path / MANIFEST).is_file()
    parts = [path / MANIFEST] if finished else sorted((path / SHARDS).glob("*.parquet"))
    if not parts:
        raise PerceptionError(
            f"'{path}' has no frame yet; run `perception-contrast data extract` to its end, or wait for it"
        )
    rows = pa.concat_tables([read_table(part, _COLUMNS).replace_schema_metadata(None) for part in parts])
    keys = tuple(rows["key"].to_pylist())
    shard_names, shards = _numbered(rows["shard"])
    lanes, lane = _pairs(rows["bag"], rows["topic"])
    plan = read_plan(path)
    return DatasetFrames(
        folder=path, extracted=True, finished=finished, keys=keys,
        files=tuple(rows["file"].to_pylist()),
        shard_names=shard_names, shards=shards,
        offsets=_array(rows, "offset", np.int64), sizes=_array(rows, "size", np.int64),
        lanes=lanes, lane=lane,
        stamps=_array(rows, "stamp", np.int64),
        heights=_array(rows, "height", np.int32), widths=_array(rows, "width", np.int32),
        positions=_positions(rows["pose"]),
        measures={name: _array(rows, name, np.float32) for name in MEASURES},
        **_notes(path, keys),
        results=tuple(_results(path)),
        options={} if plan is None else plan.options.stored(),
        recordings=() if plan is None else tuple(source.path for source in plan.sources),
    )  # fmt: skip


def _of_folder(path: Path, names: tuple[str, ...]) -> DatasetFrames:
    count = len(names)
    folders = [str(Path(name).parent) for name in names]
    lanes = {one: number for number, one in enumerate(dict.fromkeys(folders))}
    return DatasetFrames(
        folder=path, extracted=False, finished=True, keys=names, files=names, shard_names=(),
        shards=np.full(count, -1, np.int32), offsets=np.zeros(count, np.int64),
        sizes=np.zeros(count, np.int64),
        lanes=tuple(("", one) for one in lanes), lane=np.array([lanes[one] for one in folders], np.int32),
        stamps=np.full(count, -1, np.int64),
        heights=np.zeros(count, np.int32), widths=np.zeros(count, np.int32),
        positions=np.full((count, 3), np.nan, np.float32), measures={},
        **_notes(path, names),
    )  # fmt: skip


def _array(rows: Any, name: str, dtype: Any) -> NDArray[Any]:
    return np.asarray(rows[name].to_numpy(zero_copy_only=False)).astype(dtype)


def _numbered(column: Any) -> tuple[tuple[str, ...], NDArray[np.int32]]:
    encoded = column.combine_chunks().dictionary_encode()
    return tuple(encoded.dictionary.to_pylist()), encoded.indices.to_numpy().astype(np.int32)


def _pairs(one: Any, other: Any) -> tuple[tuple[tuple[str, str], ...], NDArray[np.int32]]:
    """Pairs of values, and the number of each row's pair."""
    (names, numbers), (more, others) = _numbered(one), _numbered(other)
    codes, found = np.unique(numbers.astype(np.int64) * len(more) + others, return_inverse=True)
    pairs = tuple((names[code // len(more)], more[code % len(more)]) for code in codes.tolist())
    return pairs, found.astype(np.int32).reshape(-1)


def _positions(column: Any) -> NDArray[np.float32]:
    found = np.full((len(column), 3), np.nan, np.float32)
    for row, pose in zip(found, column.to_pylist(), strict=True):
        if pose is not None:
            row[:] = pose[:3]
    return found


def _notes(path: Path, keys: tuple[str, ...]) -> dict[str, Any]:
    """What `data dedup` and `data split` wrote; frames that came later have no note."""
    index = {key: number for number, key in enumerate(keys)}
    count = len(keys)
    names: tuple[str, ...] = ()
    parts = np.full(count, NO_PART, np.int32)
    owner, clusters = np.full(count, -1, np.int64), np.full(count, -1, np.int64)
    similarity = np.full(count, np.nan, np.float32)
    facts: dict[str, dict[str, str]] = {}
    if (path / SPLIT).is_file():
        table = read_table(path / SPLIT, ["key", "part"])
        facts["split"] = read_facts(path / SPLIT)
        names, numbers = _numbered(table["part"])
        for key, number in zip(table["key"].to_pylist(), numbers.tolist(), strict=True):
            if key in index:
                parts[index[key]] = number
    if (path / DUPLICATES).is_file():
        facts["dedup"] = read_facts(path / DUPLICATES)
        for row in read_table(path / DUPLICATES).to_pylist():
            if (number := index.get(row["key"])) is None:
                continue
            clusters[number] = row["cluster"]
            if row["duplicate"] and row["duplicate_of"] in index:
                owner[number], similarity[number] = index[row["duplicate_of"]], row["similarity"]
    return {
        "part_names": names,
        "parts": parts,
        "duplicate_of": owner,
        "duplicate_similarity": similarity,
        "clusters": clusters,
        "facts": facts,
    }


def _results(path: Path) -> list[dict[str, Any]]:
    found = []
    for file in sorted((path / SHARDS).glob("*.json")):
        try:
            read = json.loads(file.read_text("utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(read, dict):
            found.append(read)
    return found
