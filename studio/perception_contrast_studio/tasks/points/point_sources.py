"""Reads points and their vectors from files; the last few stay in the worker's memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import FloatArray
from perception_contrast.core.errors import PerceptionError
from perception_contrast_studio.points.point_set import PointSet
from perception_contrast_studio.points.sources import (
    EncodedDataset,
    LivePoints,
    MapMemory,
    Source,
    VectorFile,
)

KEPT = 2
_LEAST_NORM = 1e-12
_opened: OrderedDict[str, tuple[PointSet, FloatArray]] = OrderedDict()


class PointReader(Protocol):
    """Reads one kind of source.

    Returns what is known of the points, and their vectors (n, c) of any float type and length. Raises
    PerceptionError.
    """

    def __call__(self, source: Any, /) -> tuple[PointSet, Any]: ...


def opened(source: Source) -> tuple[PointSet, FloatArray]:
    """Points and their unit vectors (n, c) float32.

    Raises:
        PerceptionError: They cannot be read, or there are too few.
    """
    if source.key not in _opened:
        points, vectors = _reader(source)(source)
        if len(points) < 2:
            raise PerceptionError(f"'{source.title}' holds {len(points)} point(s); two or more are needed")
        _opened[source.key] = points, unit_rows(vectors, source.title)
        while len(_opened) > KEPT:
            _opened.popitem(last=False)
    _opened.move_to_end(source.key)
    return _opened[source.key]


def unit_rows(vectors: Any, title: str) -> FloatArray:
    """float32 rows of length 1.

    Raises:
        PerceptionError: A vector is not finite.
    """
    rows: FloatArray = np.ascontiguousarray(vectors, np.float32)
    norms = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    if not np.isfinite(norms).all():
        count = int(np.count_nonzero(~np.isfinite(norms)))
        raise PerceptionError(
            f"'{title}' has {count} vector(s) with numbers that are not finite; make it anew"
        )
    if np.abs(norms - 1.0).max(initial=0.0) > 1e-4:
        rows = rows / np.maximum(norms, _LEAST_NORM)[:, None]
    return rows


def numbered(values: Sequence[str]) -> tuple[NDArray[np.int32], tuple[str, ...]]:
    """Numbers (n,) int32 of texts, -1 for empty ones, and the texts in order."""
    names, numbers = np.unique(np.asarray(values, dtype=object).astype(str), return_inverse=True)
    counted: NDArray[np.int32] = numbers.astype(np.int32).reshape(-1)
    kept = tuple(str(name) for name in names)
    if kept and kept[0] == "":
        return counted - np.int32(1), kept[1:]
    return counted, kept


def _reader(source: Source) -> Callable[[Any], tuple[PointSet, Any]]:
    reader: PointReader
    if isinstance(source, VectorFile):
        from perception_contrast_studio.tasks.points.vector_files import read_vector_file as reader
    elif isinstance(source, EncodedDataset):
        from perception_contrast_studio.tasks.points.encoded_points import read_encoded as reader
    elif isinstance(source, MapMemory):
        from perception_contrast_studio.tasks.points.map_points import read_map_memory as reader
    else:
        assert isinstance(source, LivePoints)
        return lambda given: (given.points, given.vectors)
    return reader
