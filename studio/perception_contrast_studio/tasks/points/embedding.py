"""Encodes the images of a dataset, a part at a time, so that a broken run goes on where it was."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.file_writing import writing
from perception_contrast_studio.points.pictures import FilePictures, ShardPictures
from perception_contrast_studio.points.point_set import PointSet
from perception_contrast_studio.tasks.points.encoded_points import (
    dataset_folder,
    is_finished,
    plain_folder_name,
    write_points,
)
from perception_contrast_studio.tasks.points.point_sources import numbered

Report = Callable[[float, str], None]
PART = 128
_BATCH = 16
_SHARD_COLUMNS = ("shard", "offset", "size", "bag", "stamp", "texts")


def encode_dataset(report: Report, folder: Path, model: str, offline: bool = False) -> Path:
    """Encodes all images of a dataset; those that a broken run has done are not encoded again.

    Returns:
        The folder of the vectors.

    Raises:
        PerceptionError: The dataset or the model cannot be read, or no image can.
    """
    from perception_contrast_studio.tasks.encoders.image_encoders import load_image_side
    from perception_contrast_training.data.curation.every_frame import every_frame

    frames = every_frame(folder)
    report(0.0, f"loading {model}")
    adapter = load_image_side(model, offline)
    place = dataset_folder(folder) / plain_folder_name(adapter.space)
    if is_finished(place):
        return place
    count, started, begun = len(frames), time.monotonic(), 0
    for start in range(0, count, PART):
        path = place / f"part_{start:09d}.npz"
        if path.is_file():
            begun += min(PART, count - start)
            continue
        numbers = range(start, min(start + PART, count))
        _encode_part(report, frames, adapter, numbers, path, (count, begun, started))
    vectors, rows, refused = _joined_parts(place)
    remarks = [f"{len(refused)} image(s) cannot be read, such as: {refused[0]}"] if refused else []
    points = _points(folder, frames, rows, model, adapter.space, vectors.shape[1], remarks)
    write_points(place, points, vectors)
    for part in place.glob("part_*.npz"):
        part.unlink(missing_ok=True)
    return place


def _points(
    folder: Path, frames: Any, rows: Any, model: str, space: str, channels: int, remarks: list[str]
) -> PointSet:
    from perception_contrast_training.data.datasets.manifest import SHARDS
    from perception_contrast_training.data.datasets.shards import ShardDataset
    from perception_contrast_training.data.datasets.subset import image_names

    names = np.array(image_names(frames), object)[rows].tolist()
    common: dict[str, Any] = {
        "title": f"{folder.name} through {model}",
        "space": space,
        "model": model,
        "channels": channels,
        "names": names,
        "folder": folder,
        "splittable": True,
        "remarks": remarks,
    }
    if not isinstance(frames, ShardDataset):
        labels = np.array(frames.labels, np.int32)[rows]
        pictures = FilePictures(folder, names)
        return PointSet(labels=labels, classes=tuple(frames.classes), pictures=pictures, **common)
    table = frames.rows
    take = {name: [table[name][int(row)].as_py() for row in rows] for name in _SHARD_COLUMNS}
    labels, classes = numbered([texts[0] if texts else "" for texts in take["texts"]])
    bags, bag_names = numbered(take["bag"])
    return PointSet(
        labels=labels,
        classes=classes,
        stamps=np.array(take["stamp"], np.int64),
        bags=bags,
        bag_names=bag_names,
        pictures=ShardPictures(folder / SHARDS, take["shard"], take["offset"], take["size"]),
        **common,
    )


def _encode_part(
    report: Report, frames: Any, adapter: Any, numbers: range, path: Path, run: tuple[int, int, float]
) -> None:
    import torch

    from perception_contrast_training.evaluation.encoding import fitted

    count, begun, started = run
    vectors, rows, refused = [], [], []
    for first in range(numbers.start, numbers.stop, _BATCH):
        images = []
        for number in range(first, min(first + _BATCH, numbers.stop)):
            try:
                image = frames[number]["image"]
            except PerceptionError as error:
                refused.append(" ".join(str(error).split()))
                continue
            images.append(fitted(image, adapter.size, adapter.mean, adapter.std))
            rows.append(number)
        if images:
            with torch.inference_mode():
                encoded = adapter.network(torch.stack(images).to(adapter.device))
            vectors.append(torch.nn.functional.normalize(encoded.float(), dim=-1).cpu().numpy())
        done = min(first + _BATCH, numbers.stop)
        rate = (done - begun) / max(1e-6, time.monotonic() - started)
        left = (count - done) / rate if rate > 0 else 0.0
        report(done / count, f"{done} of {count} images, {rate:.1f} a second, about {left:.0f} s left")
    stacked = np.concatenate(vectors) if vectors else np.empty((0, 0), np.float32)
    with writing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, vectors=stacked, rows=np.array(rows, np.int64), refused=np.array(refused, str))


def _joined_parts(place: Path) -> tuple[Any, Any, list[str]]:
    vectors, rows, refused = [], [], []
    for path in sorted(place.glob("part_*.npz")):
        try:
            with np.load(path, allow_pickle=False) as part:
                if len(part["rows"]):
                    vectors.append(part["vectors"])
                    rows.append(part["rows"])
                refused += [str(line) for line in part["refused"]]
        except (OSError, ValueError, KeyError) as error:
            path.unlink(missing_ok=True)
            raise PerceptionError(f"'{path}' was damaged ({error}) and is deleted; encode again") from error
    if not vectors:
        raise PerceptionError(f"no image can be read: {refused[0] if refused else 'there is none'}")
    return np.concatenate(vectors), np.concatenate(rows), refused
