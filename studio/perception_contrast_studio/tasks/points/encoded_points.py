"""Vectors of datasets that were encoded, in the cache; found and read without a model library."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from perception_contrast.core.cache import cache_dir
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.file_writing import writing
from perception_contrast.images.file_listing import is_image_name, list_images
from perception_contrast_studio.points.pictures import FilePictures, Pictures, ShardPictures
from perception_contrast_studio.points.point_set import PointSet
from perception_contrast_studio.points.sources import EncodedDataset

Report = Callable[[float, str], None]
POINTS, VECTORS = "points.json", "vectors.npy"


def find_encoded(report: Report, folder: Path, model: str) -> Path | None:
    """The folder of a dataset's vectors, if they were encoded before and the dataset has not changed."""
    places = dataset_folder(folder).glob(f"{plain_folder_name(model)}@*/{POINTS}")
    found = sorted(places, key=lambda path: path.stat().st_mtime)
    return found[-1].parent if found else None


def is_finished(place: Path) -> bool:
    """Whether a folder holds all vectors of a dataset."""
    return (place / POINTS).is_file()


def read_encoded(source: EncodedDataset) -> tuple[PointSet, Any]:
    """Points of a dataset that was encoded, and their vectors (n, c).

    Raises:
        PerceptionError: It was not, or the files are damaged.
    """
    if source.cache is None:
        raise PerceptionError(f"'{source.folder}' has not been encoded by {source.model} yet; encode it")
    try:
        held = json.loads((source.cache / POINTS).read_text("utf-8"))
        vectors = np.load(source.cache / VECTORS, allow_pickle=False)
        points = _unpacked(source.folder, held)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PerceptionError(
            f"the vectors in '{source.cache}' cannot be read ({error}); delete that folder and encode again"
        ) from error
    return points, vectors


def write_points(place: Path, points: PointSet, vectors: Any) -> None:
    """Writes the vectors (n, c), and then what makes the folder count as finished. Raises StorageError."""
    with writing(place / VECTORS) as temporary, temporary.open("wb") as file:
        np.save(file, vectors)
    with writing(place / POINTS) as temporary:
        temporary.write_text(json.dumps(_packed(points)), encoding="utf-8")


def dataset_folder(folder: Path) -> Path:
    """A folder in the cache for a dataset as it is now, by names, sizes and times.

    Raises:
        PerceptionError: The dataset cannot be read.
    """
    from perception_contrast_training.data.datasets.manifest import MANIFEST

    digest = hashlib.sha256(str(folder.resolve()).encode())
    manifest = folder / MANIFEST
    try:
        if manifest.is_file():
            digest.update(manifest.read_bytes())
        else:
            for path in list_images(folder, recursive=True).files:
                if is_image_name(path.name):
                    state = path.stat()
                    digest.update(f"{path}\n{state.st_size} {state.st_mtime_ns}\n".encode())
    except OSError as error:
        raise PerceptionError(f"'{folder}' cannot be read: {error.strerror or error}") from error
    return cache_dir() / "studio" / "embeddings" / digest.hexdigest()[:24]


def plain_folder_name(name: str) -> str:
    """The name of a model, or of a space, as that of a folder; a model's is the start of its space's."""
    model, at, weights = name.partition("@")
    if not all(one.isalnum() or one in "-_." for one in model):
        model = f"model_{hashlib.sha256(model.encode()).hexdigest()[:12]}"
    return model + at + weights


def _packed(points: PointSet) -> dict[str, Any]:
    held: dict[str, Any] = {
        "title": points.title,
        "space": points.space,
        "model": points.model,
        "channels": points.channels,
        "labels": points.labels.tolist(),
        "classes": list(points.classes),
        "stamps": points.stamps.tolist(),
        "bags": points.bags.tolist(),
        "bag_names": list(points.bag_names),
        "names": list(points.names),
        "remarks": list(points.remarks),
    }
    if isinstance(points.pictures, ShardPictures):
        shards = points.pictures
        held["shards"] = [shards.folder.name, list(shards.files), list(shards.offsets), list(shards.sizes)]
    return held


def _unpacked(folder: Path, held: dict[str, Any]) -> PointSet:
    pictures: Pictures = FilePictures(folder, held["names"])
    if "shards" in held:
        name, *columns = held["shards"]
        pictures = ShardPictures(folder / name, *columns)
    return PointSet(
        title=held["title"],
        space=held["space"],
        model=held["model"],
        channels=held["channels"],
        labels=np.array(held["labels"], np.int32),
        classes=held["classes"],
        stamps=np.array(held["stamps"], np.int64),
        bags=np.array(held["bags"], np.int32),
        bag_names=held["bag_names"],
        names=held["names"],
        pictures=pictures,
        folder=folder,
        splittable=True,
        remarks=held["remarks"],
    )
