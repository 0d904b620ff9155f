"""Vectors from .npz and .npy files."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from perception_contrast.core.errors import PerceptionError
from perception_contrast_studio.points.pictures import FilePictures, Pictures
from perception_contrast_studio.points.point_set import PointSet
from perception_contrast_studio.points.sources import VectorFile
from perception_contrast_studio.tasks.points.point_sources import numbered

MOST = 1_000_000
_FORMAT = (
    "it needs an array 'vectors' (n, c), and may have 'labels' (n,) numbers or texts, 'classes' (names of "
    "the numbers), 'paths' (n,) of images in the same folder, 'stamps' (n,) nanoseconds, 'bags' (n,) texts, "
    "and 'space' and 'model', texts"
)


def read_vector_file(source: VectorFile) -> tuple[PointSet, Any]:
    """Points of a file, and their vectors (n, c).

    Raises:
        PerceptionError: The file cannot be read, or its arrays do not fit each other.
    """
    arrays = _arrays(source)
    vectors = arrays["vectors"]
    if vectors.ndim != 2 or vectors.dtype.kind != "f" or not vectors.shape[1] or len(vectors) > MOST:
        raise PerceptionError(
            f"'{source.path}' has vectors of shape {vectors.shape} and type {vectors.dtype}; float (n, c) "
            f"with at most {MOST} rows is needed"
        )
    count = len(vectors)
    for name in ("labels", "paths", "stamps", "bags"):
        if name in arrays and arrays[name].shape != (count,):
            raise PerceptionError(
                f"'{source.path}': '{name}' has shape {arrays[name].shape}, and there are {count} vectors"
            )
    labels, classes = _labels(arrays, count)
    paths = tuple(arrays["paths"].astype(str).tolist()) if "paths" in arrays else ()
    pictures: Pictures | None = FilePictures(source.folder, paths) if paths else None
    bags, bag_names = numbered(arrays["bags"].tolist()) if "bags" in arrays else (np.empty(0, np.int32), ())
    stamps = arrays["stamps"].astype(np.int64) if "stamps" in arrays else np.empty(0, np.int64)
    points = PointSet(
        title=source.title,
        space=_text(arrays, "space"),
        model=_text(arrays, "model"),
        channels=vectors.shape[1],
        labels=labels,
        classes=classes,
        stamps=stamps,
        bags=bags,
        bag_names=bag_names,
        names=paths,
        pictures=pictures,
        folder=source.folder,
    )
    return points, vectors


def _arrays(source: VectorFile) -> dict[str, Any]:
    try:
        loaded = np.load(source.path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return {"vectors": loaded}
        with loaded:
            found = {name: loaded[name] for name in loaded.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, KeyError) as error:
        raise PerceptionError(f"'{source.path}' cannot be read ({error}); {_FORMAT}") from error
    if "vectors" not in found:
        raise PerceptionError(f"'{source.path}' has the arrays {sorted(found)}; {_FORMAT}")
    return found


def _labels(arrays: Mapping[str, Any], count: int) -> tuple[Any, tuple[str, ...]]:
    if "labels" not in arrays:
        return np.full(count, -1, np.int32), ()
    given = arrays["labels"]
    if given.dtype.kind not in "iu":
        return numbered(given.tolist())
    if "classes" in arrays:
        classes = tuple(arrays["classes"].astype(str).tolist())
        return np.where((given >= 0) & (given < len(classes)), given, -1).astype(np.int32), classes
    values = np.unique(given[given >= 0])
    labels = np.where(given >= 0, np.searchsorted(values, given), -1)
    return labels.astype(np.int32), tuple(f"class {value}" for value in values.tolist())


def _text(arrays: Mapping[str, Any], name: str) -> str:
    value = arrays.get(name)
    return str(value) if value is not None and value.ndim == 0 and value.dtype.kind == "U" else ""
