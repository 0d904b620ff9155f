"""Vectors that a saved map's memory holds: of objects, sightings and keyframes."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from perception_contrast.core.errors import PerceptionError
from perception_contrast.memory.memory_store import MemoryStore
from perception_contrast_studio.points.pictures import MemoryPictures
from perception_contrast_studio.points.point_set import PointSet
from perception_contrast_studio.points.sources import MapMemory
from perception_contrast_studio.tasks.points.point_sources import numbered

MOST = 100_000


def read_map_memory(source: MapMemory) -> tuple[PointSet, Any]:
    """Points of a memory, the newest MOST of them, and their vectors (n, c).

    Raises:
        PerceptionError: The memory cannot be read, or holds no vectors.
    """
    kind = "keyframe" if source.kind == "keyframes" else "sighting"
    subject = "s.object" if kind == "sighting" else "s.id"
    label = "s.label" if kind == "sighting" else "s.place"
    with MemoryStore(source.path, read_only=True) as memory:
        spaces = memory.query(
            f"SELECT p.id, p.name, p.channels, count(*) FROM {kind}_vectors v "
            "JOIN spaces p ON p.id = v.space GROUP BY p.id ORDER BY 4 DESC"
        )
        if not spaces:
            raise PerceptionError(
                f"the map '{source.name}' remembers no {source.kind} with vectors; let map_node run with a "
                "language model, or choose another source"
            )
        number, space, channels, count = spaces[0]
        rows = memory.query(
            f"SELECT s.id, {subject}, {label}, s.stamp, s.camera, v.vector FROM {kind}s s "
            f"JOIN {kind}_vectors v ON v.id = s.id WHERE v.space = ? ORDER BY s.stamp DESC LIMIT ?",
            (number, MOST),
        )
    vectors = np.frombuffer(b"".join(row[5] for row in rows), "<f2").reshape(len(rows), channels)
    remarks = [f"{row[3]} vectors of the space '{row[1]}' are left out" for row in spaces[1:]]
    if count > len(rows):
        remarks.append(f"the newest {len(rows)} of {count} are shown")
    if source.kind == "objects":
        rows, vectors = _objects(rows, vectors.astype(np.float32))
    labels, classes = numbered([row[2] for row in rows])
    cameras, camera_names = numbered([row[4] for row in rows])
    points = PointSet(
        title=source.title,
        space=space,
        model=space.partition("@")[0],
        channels=channels,
        labels=labels,
        classes=classes,
        stamps=np.array([row[3] for row in rows], np.int64),
        bags=cameras,
        bag_names=camera_names,
        names=tuple(f"{'keyframe' if kind == 'keyframe' else 'object'} {row[1]}" for row in rows),
        pictures=MemoryPictures(source.path, kind, [row[0] for row in rows]),
        remarks=remarks,
    )
    return points, vectors


def _objects(rows: list[tuple[Any, ...]], vectors: Any) -> tuple[list[tuple[Any, ...]], Any]:
    """The mean vector, the newest row and the most frequent label of each object. rows: newest first."""
    order: dict[int, list[int]] = {}
    for number, row in enumerate(rows):
        order.setdefault(row[1], []).append(number)
    means = np.stack([vectors[numbers].mean(axis=0) for numbers in order.values()])
    newest = []
    for numbers in order.values():
        label = Counter(rows[number][2] for number in numbers).most_common(1)[0][0]
        row = rows[numbers[0]]
        newest.append((*row[:2], label, *row[3:]))
    return newest, means
