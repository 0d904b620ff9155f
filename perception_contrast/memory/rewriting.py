"""Changes to all that a memory holds: other ids, another memory joined, vectors of another model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from perception_contrast.core.arrays import FloatArray
from perception_contrast.core.rigid_transform import RigidTransform
from perception_contrast.mapping.map_reembedding import Embedding
from perception_contrast.mapping.storage.stored_images import stored_image
from perception_contrast.memory.memory_store import MemoryStore, set_vector
from perception_contrast.memory.row_filters import (
    KEYFRAMES,
    SIGHTINGS,
    Selection,
    full_rows,
    to_keyframe,
    to_sighting,
)
from perception_contrast.memory.sightings import Point, Sighting

_ROWS_AT_ONCE = 512


def rename_objects(memory: MemoryStore, ids: Mapping[int, int]) -> int:
    """Gives sightings of objects that became part of others the ids of those; says how many there were.

    Args:
        memory: Open for writing.
        ids: Id that is no more, to the id of what it is part of, which may be no more either.

    Raises:
        RecallError: The memory was opened to be read, or is damaged.
        StorageError: It cannot be written; nothing is changed.
    """
    if not ids:
        return 0
    with memory.writing() as database:
        changed = sum(
            database.execute(
                "UPDATE sightings SET object = ? WHERE object = ?", (_followed(ids, old), old)
            ).rowcount
            for old in sorted(ids)
        )
        if changed:
            database.execute("UPDATE changes SET deletions = deletions + 1")
    return changed


def take_in(
    memory: MemoryStore,
    other: MemoryStore,
    object_ids: Mapping[int, int],
    memory_from_other: RigidTransform | None = None,
) -> int:
    """Adds all that another memory holds; says how many rows those were.

    Args:
        memory: Open for writing.
        other: Of another map of the same place.
        object_ids: Ids there to ids here; sightings of others are left out.
        memory_from_other: Takes points of the other map to this one's; None where both have one frame.

    Raises:
        RecallError: A memory is damaged, or this one was opened to be read.
        StorageError: It cannot be written; what was added before stays.
    """
    moving, added = memory_from_other or RigidTransform.identity(), 0
    for rows in _batches(other, SIGHTINGS):
        sightings = [to_sighting(row) for row in rows]
        added += memory.add(
            [
                replace(_moved(one, moving), object_id=object_ids[one.object_id])
                for one in sightings
                if one.object_id in object_ids
            ]
        )
    for rows in _batches(other, KEYFRAMES):
        keyframes = [to_keyframe(row) for row in rows]
        added += memory.add(keyframes=[replace(one, pose=moving @ one.pose) for one in keyframes])
    return added


def reembed(memory: MemoryStore, crops: Embedding, images: Embedding | None = None) -> int:
    """Makes all vectors anew from the stored images; says how many. What has no image has no vector then.

    Args:
        memory: Open for writing.
        crops: The new language model, for the images of sightings.
        images: The same for keyframes, where it is another for whole images; None for ``crops``.

    Raises:
        RecallError: The memory was opened to be read, or is damaged.
        StorageError: It cannot be written; give the call again to finish it.
    """
    renewed = 0
    for kind, embedding in ((SIGHTINGS, crops), (KEYFRAMES, images or crops)):
        thumbnails = f"SELECT s.id, t.jpeg FROM {kind}s s LEFT JOIN {kind}_thumbnails t ON t.id = s.id"
        for rows in _batches(memory, kind, thumbnails):
            vectors = [(_embedded(jpeg, embedding), key) for key, jpeg in rows]
            with memory.writing() as database:
                for vector, key in vectors:
                    set_vector(database, kind, key, embedding.space, vector)
                database.execute("UPDATE changes SET deletions = deletions + 1")
            renewed += sum(vector is not None for vector, _ in vectors)
    return renewed


def _embedded(jpeg: bytes | None, embedding: Embedding) -> FloatArray | None:
    image = stored_image(jpeg or b"")
    return None if image is None else embedding.embed(image)


def _followed(ids: Mapping[int, int], number: int) -> int:
    """Where a chain of ids ends."""
    passed = set()
    while number in ids and number not in passed:
        passed.add(number)
        number = ids[number]
    return number


def _batches(memory: MemoryStore, kind: str, sql: str = "") -> Iterator[list[tuple[Any, ...]]]:
    """The rows of a kind in the order of their ids, some at a time; their first column is the id."""
    last = 0
    while True:
        if sql:
            statement = Selection(f"{sql} WHERE s.id > ? ORDER BY s.id LIMIT {_ROWS_AT_ONCE}", (last,))
        else:
            chosen = Selection(f"FROM {kind}s s WHERE s.id > ?", (last,))
            statement = full_rows(kind, chosen, "s.id", _ROWS_AT_ONCE)
        rows = memory.query(statement.sql, statement.values)
        if not rows:
            return
        yield rows
        last = int(rows[-1][0])


def _moved(one: Sighting, moving: RigidTransform) -> Sighting:
    corners = np.array(list(product(*zip(one.low, one.high, strict=True))))
    there = moving.apply(corners)
    pose = None if one.pose is None else moving @ one.pose
    return replace(one, low=_point(there.min(axis=0)), high=_point(there.max(axis=0)), pose=pose)


def _point(values: Any) -> Point:
    x, y, z = (float(value) for value in values)
    return x, y, z
