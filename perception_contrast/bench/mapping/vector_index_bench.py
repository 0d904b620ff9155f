"""Search among many vectors of images by those of words: exact, and by libraries that approximate.

Words lie far from all images (a shared direction that images have and words have not), which is what makes
searches by words hard for an index that was built of images.
"""

from __future__ import annotations

import importlib
import importlib.util
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import FloatArray
from perception_contrast.memory.vector_index import VectorIndex, best

_CHANNELS, _FOUND, _QUERIES = 256, 10, 30
_IMAGES_A_PLACE = 200
_BLOCK = 50_000

Search = Callable[[FloatArray], NDArray[np.int64]]
"""A vector to the numbers of the nearest images."""


def measure_indices(count: int, libraries: Sequence[str]) -> dict[str, Any]:
    """Figures of each way to search, by its name; ``recall`` is the share of the nearest ten that is found.

    Args:
        count: Of images.
        libraries: Names of modules to compare with; those that are not installed are left out.
    """
    images, words = _images(count), _words(count)
    index = VectorIndex(_CHANNELS)
    began = time.process_time()
    for first in range(0, count, _BLOCK):
        part = images[first : first + _BLOCK]
        index.add(np.arange(first, first + len(part)), part)
    ways: list[tuple[str, Search]] = [("exact", lambda vector: best(index.scores(vector), _FOUND))]
    truth = [ways[0][1](word) for word in words]
    report = {"exact": _figures(ways[0][1], words, truth, time.process_time() - began)}
    for name in libraries:
        if importlib.util.find_spec(name) is None:
            continue
        began = time.process_time()
        for kind, search in _WAYS[name](images):
            report[kind] = _figures(search, words, truth, time.process_time() - began)
    return report


def _images(count: int) -> NDArray[np.float16]:
    """Views of places that share a direction, as vectors of images do."""
    random = np.random.default_rng(0)
    shared = random.normal(size=_CHANNELS)
    places = _places(count)
    images = np.empty((count, _CHANNELS), np.float16)
    for first in range(0, count, _BLOCK):
        part = images[first : first + _BLOCK]
        views = places[random.integers(0, len(places), len(part))] + 0.7 * shared
        views = views + 0.5 * random.normal(size=part.shape)
        part[:] = views / np.linalg.norm(views, axis=1, keepdims=True)
    return images


def _words(count: int) -> FloatArray:
    random, places = np.random.default_rng(1), _places(count)
    words = 0.4 * places[random.integers(0, len(places), _QUERIES)] + random.normal(
        size=(_QUERIES, _CHANNELS)
    )
    return np.asarray(words / np.linalg.norm(words, axis=1, keepdims=True), np.float32)


def _places(count: int) -> NDArray[np.float64]:
    return np.random.default_rng(2).normal(size=(max(count // _IMAGES_A_PLACE, 1), _CHANNELS))


def _figures(
    search: Search, words: FloatArray, truth: Sequence[NDArray[np.int64]], build: float
) -> dict[str, float]:
    times, found = [], 0
    for word, nearest in zip(words, truth, strict=True):
        began = time.process_time()
        result = search(word)
        times.append(1e3 * (time.process_time() - began))
        found += len(set(result.tolist()) & set(nearest.tolist()))
    return {
        "build_cpu_s": round(build, 1),
        "query_cpu_ms": round(float(np.median(times)), 2),
        "recall": round(found / (len(words) * _FOUND), 3),
    }


def _faiss(images: NDArray[np.float16]) -> Iterator[tuple[str, Search]]:
    """Inverted lists of float16 vectors, of which more and more are looked through."""
    faiss: Any = importlib.import_module("faiss")
    faiss.omp_set_num_threads(1)
    lists = 1024
    index = faiss.IndexIVFScalarQuantizer(
        faiss.IndexFlatIP(_CHANNELS),
        _CHANNELS,
        lists,
        faiss.ScalarQuantizer.QT_fp16,
        faiss.METRIC_INNER_PRODUCT,
    )
    index.train(images[:: max(1, len(images) // (40 * lists))].astype(np.float32))
    for first in range(0, len(images), _BLOCK):
        index.add(images[first : first + _BLOCK].astype(np.float32))
    for probes in (8, 32, 128):
        index.nprobe = probes
        yield f"faiss, {probes} of {lists} lists", lambda vector: index.search(vector[None], _FOUND)[1][0]


def _usearch(images: NDArray[np.float16]) -> Iterator[tuple[str, Search]]:
    """A graph with the library's own settings."""
    library: Any = importlib.import_module("usearch.index")
    index = library.Index(ndim=_CHANNELS, metric="ip", dtype="f16")
    for first in range(0, len(images), _BLOCK):
        part = images[first : first + _BLOCK]
        index.add(np.arange(first, first + len(part)), part, threads=1)
    yield "usearch", lambda vector: index.search(vector.astype(np.float16), _FOUND, threads=1).keys


def _lancedb(images: NDArray[np.float16]) -> Iterator[tuple[str, Search]]:
    """A table without an index, which LanceDB searches exactly."""
    lancedb: Any = importlib.import_module("lancedb")
    arrow: Any = importlib.import_module("pyarrow")
    with tempfile.TemporaryDirectory() as folder:
        schema = arrow.schema([("id", arrow.int64()), ("vector", arrow.list_(arrow.float16(), _CHANNELS))])
        table = lancedb.connect(folder).create_table("keyframes", schema=schema)
        for first in range(0, len(images), _BLOCK):
            part = images[first : first + _BLOCK]
            vectors = arrow.FixedSizeListArray.from_arrays(arrow.array(part.reshape(-1)), _CHANNELS)
            rows = arrow.array(np.arange(first, first + len(part)))
            table.add(arrow.Table.from_arrays([rows, vectors], schema=schema))

        def search(vector: FloatArray) -> NDArray[np.int64]:
            rows = table.search(vector).distance_type("dot").limit(_FOUND).select(["id", "_distance"])
            return np.array([row["id"] for row in rows.to_list()])

        yield "lancedb", search


_WAYS: dict[str, Callable[[NDArray[np.float16]], Iterator[tuple[str, Search]]]] = {
    "faiss": _faiss,
    "usearch": _usearch,
    "lancedb": _lancedb,
}
