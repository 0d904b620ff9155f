"""Near-duplicates of a dataset: frames that show what another frame shows already.

Frames whose vectors have a cosine of at least a threshold are joined; what hangs together, over any
number of links, is a cluster (union-find). In a cluster a frame is a duplicate only if it is that close
to one that is kept, so a slow walk past many things keeps a frame of each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.data.bags.image_measures import thumbnail_descriptor
from perception_contrast_training.data.bags.options import THUMBNAIL
from perception_contrast_training.data.curation.descriptors import Descriptor, load_descriptor
from perception_contrast_training.data.curation.every_frame import (
    Frames,
    every_frame,
    readable,
    require_folder,
)
from perception_contrast_training.data.datasets.manifest import (
    DUPLICATES,
    require_dataset,
    write_table,
)
from perception_contrast_training.data.datasets.manifest import THUMBNAIL as THUMBNAIL_SHAPE
from perception_contrast_training.data.datasets.shards import ShardDataset
from perception_contrast_training.data.datasets.subset import image_names

BLOCK = 2048
"""Frames compared with as many at once: two such blocks and their products are in memory."""

_BATCH = 16
_USUAL = {THUMBNAIL: 0.99}
_USUAL_OF_ENCODERS = 0.98

Floats = NDArray[np.float32]


def usual_threshold(space: str) -> float:
    """The cosine from which two frames show the same, where none is given."""
    return _USUAL.get(space, _USUAL_OF_ENCODERS)


Tell = Callable[[str, int, int], None]
"""Called with what is done, how much of it, and of how much."""


class Clusters:
    """Union-find over ``count`` frames, with path halving; the smallest number is the cluster's name."""

    def __init__(self, count: int) -> None:
        self._parent = np.arange(count)

    def find(self, index: int) -> int:
        parent = self._parent
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = int(parent[index])
        return index

    def join(self, one: int, other: int) -> None:
        low, high = sorted((self.find(one), self.find(other)))
        self._parent[high] = low

    def names(self) -> NDArray[np.int64]:
        return np.array([self.find(index) for index in range(len(self._parent))], np.int64)


def find_duplicates(
    vectors: Any, threshold: float, *, block: int = BLOCK, tell: Callable[[int, int], None] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]:
    """For unit vectors (n, c): whose duplicate each frame is (-1: kept), that cosine, and its cluster.

    vectors: an array or a memory map; read by blocks. tell: pairs of blocks done, and in all.
    """
    count = len(vectors)
    duplicate_of = np.full(count, -1, np.int64)
    similarity = np.full(count, np.nan, np.float32)
    clusters = Clusters(count)
    starts = range(0, count, block)
    done, total = 0, len(starts) * (len(starts) + 1) // 2
    for start in starts:
        rows = np.asarray(vectors[start : start + block], np.float32)
        for earlier in range(0, start + 1, block):
            others = rows if earlier == start else np.asarray(vectors[earlier : earlier + block], np.float32)
            products = rows @ others.T
            _join(clusters, products >= threshold, start, earlier)
            if earlier < start:
                _mark(products, threshold, start, earlier, duplicate_of, similarity)
            else:
                _mark_within(products, threshold, start, duplicate_of, similarity)
            done += 1
            if tell is not None:
                tell(done, total)
    return duplicate_of, similarity, clusters.names()


def _join(clusters: Clusters, near: NDArray[np.bool_], start: int, earlier: int) -> None:
    """One union for each part that hangs together within the block, not one for each pair."""
    rows, columns = np.nonzero(near)
    size = near.shape[0] + near.shape[1]
    graph = coo_matrix((np.ones(len(rows), np.bool_), (rows, columns + near.shape[0])), (size, size))
    _, labels = connected_components(graph, directed=False)
    names = np.concatenate([np.arange(near.shape[0]) + start, np.arange(near.shape[1]) + earlier])
    first: dict[int, int] = {}
    for label, name in zip(labels.tolist(), names.tolist(), strict=True):
        if first.setdefault(label, name) != name:
            clusters.join(first[label], name)


def _mark(
    products: Floats,
    threshold: float,
    start: int,
    earlier: int,
    duplicate_of: NDArray[np.int64],
    similarity: Floats,
) -> None:
    """Frames near to a kept one of an earlier block."""
    kept = duplicate_of[earlier : earlier + products.shape[1]] < 0
    if not kept.any():
        return
    masked = np.where(kept, products, -np.inf)
    best = masked.argmax(axis=1)
    cosine = masked[np.arange(len(best)), best]
    rows = slice(start, start + len(best))
    new = (cosine >= threshold) & (duplicate_of[rows] < 0)
    duplicate_of[rows] = np.where(new, best + earlier, duplicate_of[rows])
    similarity[rows] = np.where(new, cosine, similarity[rows])


def _mark_within(
    products: Floats, threshold: float, start: int, duplicate_of: NDArray[np.int64], similarity: Floats
) -> None:
    """One after the other: whether a frame is kept decides about those behind it."""
    for row in range(len(products)):
        kept = duplicate_of[start : start + row] < 0
        if duplicate_of[start + row] >= 0 or not kept.any():
            continue
        masked = np.where(kept, products[row, :row], -np.inf)
        best = int(masked.argmax())
        if masked[best] >= threshold:
            duplicate_of[start + row], similarity[start + row] = start + best, masked[best]


def dedup(
    dataset: Path,
    descriptor: str = "dinov2-s14",
    threshold: float | None = None,
    *,
    device: str = "auto",
    offline: bool = False,
    tell: Tell | None = None,
) -> dict[str, Any]:
    """Writes which frames of a dataset or a folder of images are near-duplicates; gives the counts.

    threshold: cosine from which two frames show the same; None for 0.98 of an encoder's, 0.99 of
    thumbnails. Frames are kept in the dataset's order. One that cannot be read is no duplicate; the reasons
    are under "unreadable". Raises PerceptionError, ModelError.
    """
    limit = usual_threshold(descriptor) if threshold is None else threshold
    if not 0 < limit <= 1:
        raise PerceptionError(f"--threshold {limit} must be over 0 and at most 1")
    frames = every_frame(dataset)
    require_folder(dataset, "dedup")
    keys = image_names(frames)
    refused: dict[int, str] = {}
    with TemporaryDirectory(prefix="perception_contrast_") as folder:
        vectors, space = _vectors(frames, descriptor, device, offline, Path(folder), refused, tell)

        def compared(done: int, total: int) -> None:
            if tell is not None:
                tell("compared", done, total)

        found = find_duplicates(vectors, limit, tell=compared)
        del vectors
    owner, cosine, clusters = _among_all(len(keys), refused, *found)
    table = pa.table(
        {
            "key": keys,
            "duplicate": owner >= 0,
            "duplicate_of": pa.array([keys[one] if one >= 0 else None for one in owner], pa.string()),
            "similarity": pa.array(cosine, mask=np.isnan(cosine)),
            "cluster": clusters,
        }
    )
    write_table(dataset / DUPLICATES, table, {"space": space, "threshold": str(limit)})
    duplicates = int((owner >= 0).sum())
    return {
        "frames": len(keys),
        "duplicates": duplicates,
        "kept": len(keys) - duplicates,
        "clusters": len(np.unique(clusters[clusters >= 0])),
        "unreadable": list(refused.values()),
        "space": space,
        "threshold": limit,
    }


def _among_all(
    count: int,
    refused: Collection[int],
    owner: NDArray[np.int64],
    cosine: NDArray[np.float32],
    clusters: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]:
    """What ``find_duplicates`` gave of the readable frames, for all ``count``; the others have no cluster."""
    places = np.array([index for index in range(count) if index not in refused], np.int64)
    every_owner, every_cluster = np.full(count, -1, np.int64), np.full(count, -1, np.int64)
    every_cosine = np.full(count, np.nan, np.float32)
    every_owner[places] = np.where(owner >= 0, places[owner], -1)
    every_cosine[places], every_cluster[places] = cosine, places[clusters]
    return every_owner, every_cosine, every_cluster


def _vectors(
    frames: Frames,
    descriptor: str,
    device: str,
    offline: bool,
    folder: Path,
    refused: dict[int, str],
    tell: Tell | None,
) -> tuple[Any, str]:
    """Unit vectors (n, c) float16 in a file, of the frames that are not ``refused``, and their space."""
    source: Iterator[Floats]
    if descriptor == THUMBNAIL and isinstance(frames, ShardDataset):
        source, space = _thumbnail_vectors(require_dataset(frames.path)), THUMBNAIL
    else:
        described = load_descriptor(descriptor, device, offline)
        source, space = _image_vectors(frames, described, refused), described.space
    count = len(frames)
    stored: Any = None
    done = 0
    for part in source:
        if stored is None:
            stored = np.memmap(folder / "vectors", np.float16, "w+", shape=(count, part.shape[1]))
        stored[done : done + len(part)] = part
        done += len(part)
        if tell is not None:
            tell("described", done, count)
    return (np.zeros((0, 1), np.float16) if stored is None else stored[:done]), space


def _thumbnail_vectors(manifest: Path) -> Iterator[Floats]:
    for batch in pq.ParquetFile(manifest).iter_batches(BLOCK, columns=["thumbnail"]):
        raw = b"".join(batch["thumbnail"].to_pylist())
        yield thumbnail_descriptor(np.frombuffer(raw, np.uint8).reshape(-1, *THUMBNAIL_SHAPE))


def _image_vectors(frames: Frames, described: Descriptor, refused: dict[int, str]) -> Iterator[Floats]:
    images: list[Any] = []
    for _, sample in readable(frames, refused):
        images.append(sample["image"].permute(1, 2, 0).numpy())
        if len(images) == _BATCH:
            yield described(images)
            images = []
    if images:
        yield described(images)
