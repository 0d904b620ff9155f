"""Forgetting: on request, with the bytes gone, and by limits on count and age."""

from __future__ import annotations

import math
import sqlite3
from dataclasses import dataclass

from perception_contrast.core.errors import StorageError
from perception_contrast.memory.memory_store import MemoryStore
from perception_contrast.memory.row_filters import KEYFRAMES, SIGHTINGS, selection
from perception_contrast.memory.sightings import Filters, RecallError

_DOOMED = "temp.doomed"


@dataclass(frozen=True)
class Forgotten:
    """How many rows are gone."""

    sightings: int
    keyframes: int


@dataclass(frozen=True)
class Retention:
    """What a memory may hold; None for no limit.

    Attributes:
        sightings: Most sightings. The first and the last of each object stay; of the others the oldest go.
        keyframes: Most keyframes. The best of each place stays; of the others the oldest go. Where the places
            alone are too many, those that were seen least recently go.
        age: Nanoseconds; what is older goes, whatever it shows.
        place_size: Metres; keyframes whose cameras stood in one cell of this size are of one place.
    """

    sightings: int | None = 200_000
    keyframes: int | None = 100_000
    age: int | None = None
    place_size: float = 1.0

    def __post_init__(self) -> None:
        """Raises RecallError for limits that cannot be."""
        limits = (self.sightings, self.keyframes, self.age)
        if any(limit is not None and limit < 0 for limit in limits) or not self.place_size > 0:
            raise RecallError(
                "a limit of a memory is negative, or a place has no size; correct its retention"
            )


def forget(memory: MemoryStore, *several: Filters) -> Forgotten:
    """Deletes what passes any of the filters so that its bytes are gone from the file.

    Sightings that pass go, keyframes that pass go, and so do keyframes of the images of those sightings. The
    file is written anew, which takes as long as copying it.

    Args:
        memory: Open for writing.
        several: ``place`` concerns keyframes alone, ``object_id`` sightings and their images.

    Raises:
        RecallError: The memory was opened to be read, or is damaged.
        StorageError: Another process reads it for too long, so that what is deleted is not overwritten yet.
    """
    with memory.writing() as database:
        _begin(database)
        for filters in several:
            if not filters.place:
                _doom(database, SIGHTINGS, filters)
            if filters.object_id is None:
                _doom(database, KEYFRAMES, filters)
        if several:
            database.execute(
                f"INSERT OR IGNORE INTO {_DOOMED} SELECT '{KEYFRAMES}', k.id FROM keyframes k "
                f"WHERE EXISTS (SELECT 1 FROM sightings s JOIN {_DOOMED} d ON d.kind = '{SIGHTINGS}' "
                "AND d.id = s.id WHERE s.stamp = k.stamp AND s.camera = k.camera)"
            )
        gone = _delete(database)
    if gone != Forgotten(0, 0):
        scrub(memory)
    return gone


def retain(memory: MemoryStore, retention: Retention, now: int) -> Forgotten:
    """Deletes what exceeds the limits.

    The deleted rows are overwritten; the file keeps its size and uses the room again.

    Args:
        memory: Open for writing.
        retention: The limits.
        now: Nanoseconds, of the clock of the stamps.

    Raises:
        RecallError: The memory was opened to be read, or is damaged.
    """
    with memory.writing() as database:
        _begin(database)
        if retention.age is not None:
            for kind in (SIGHTINGS, KEYFRAMES):
                _doom(database, kind, Filters(until=now - retention.age - 1))
        if retention.sightings is not None:
            _doom_sightings(database, retention.sightings)
        if retention.keyframes is not None:
            _doom_keyframes(database, retention.keyframes, retention.place_size)
        return _delete(database)


def scrub(memory: MemoryStore) -> None:
    """Writes the file anew and empties its log, so that nothing of what was deleted is left in either.

    Raises:
        StorageError: Another process reads the memory for too long, or there is no room.
        RecallError: The memory is damaged.
    """
    with memory.reading() as database:
        database.execute("VACUUM")
        # Waits for readers, as long as any statement waits for a lock.
        is_busy, _, _ = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if is_busy:
        raise StorageError(
            f"'{memory.path}' is read by another process, so what was forgotten may still be in its log; "
            "stop the reader and forget again"
        )


def _begin(database: sqlite3.Connection) -> None:
    database.execute(
        f"CREATE TEMP TABLE IF NOT EXISTS {_DOOMED.partition('.')[2]}"
        "(kind TEXT, id INTEGER, PRIMARY KEY(kind, id)) WITHOUT ROWID"
    )
    database.execute(f"DELETE FROM {_DOOMED}")


def _doom(database: sqlite3.Connection, kind: str, filters: Filters) -> None:
    chosen = selection(kind, filters)
    database.execute(f"INSERT OR IGNORE INTO {_DOOMED} SELECT '{kind}', s.id {chosen.sql}", chosen.values)


def _doom_sightings(database: sqlite3.Connection, most: int) -> None:
    over = _excess(database, SIGHTINGS, most)
    if over > 0:
        # Rows that are neither the first nor the last of their object, then all others.
        database.execute(
            f"INSERT INTO {_DOOMED} SELECT '{SIGHTINGS}', id FROM ("
            "SELECT id, stamp, row_number() OVER (PARTITION BY object ORDER BY stamp, id) = 1 "
            "OR row_number() OVER (PARTITION BY object ORDER BY stamp DESC, id DESC) = 1 AS is_kept "
            f"FROM sightings WHERE id NOT IN (SELECT id FROM {_DOOMED} WHERE kind = '{SIGHTINGS}')) "
            "ORDER BY is_kept, stamp, id LIMIT ?",
            (over,),
        )


def _doom_keyframes(database: sqlite3.Connection, most: int, place_size: float) -> None:
    over = _excess(database, KEYFRAMES, most)
    if over > 0:
        # SQLite's own floor() is not in every build.
        database.create_function("cell", 2, lambda value, size: math.floor(value / size), deterministic=True)
        database.execute(
            f"INSERT INTO {_DOOMED} SELECT '{KEYFRAMES}', id FROM ("
            "SELECT id, stamp, row_number() OVER ("
            "PARTITION BY cell(px, ?1), cell(py, ?1), cell(pz, ?1) ORDER BY quality DESC, stamp DESC, id"
            f") = 1 AS is_kept FROM keyframes WHERE id NOT IN (SELECT id FROM {_DOOMED} "
            f"WHERE kind = '{KEYFRAMES}')) ORDER BY is_kept, stamp, id LIMIT ?2",
            (place_size, over),
        )


def _excess(database: sqlite3.Connection, kind: str, most: int) -> int:
    held, doomed = (
        database.execute(statement).fetchone()[0]
        for statement in (
            f"SELECT count(*) FROM {kind}s",
            f"SELECT count(*) FROM {_DOOMED} WHERE kind = '{kind}'",
        )
    )
    return int(held) - int(doomed) - most


def _delete(database: sqlite3.Connection) -> Forgotten:
    counts = []
    for kind in (SIGHTINGS, KEYFRAMES):
        doomed = f"IN (SELECT id FROM {_DOOMED} WHERE kind = '{kind}')"
        for table in (f"{kind}_boxes", f"{kind}_vectors", f"{kind}_thumbnails"):
            database.execute(f"DELETE FROM {table} WHERE id {doomed}")
        if kind == KEYFRAMES:
            database.execute(f"DELETE FROM keyframe_labels WHERE keyframe {doomed}")
        counts.append(database.execute(f"DELETE FROM {kind}s WHERE id {doomed}").rowcount)
    if any(counts):
        database.execute("UPDATE changes SET deletions = deletions + 1")
    return Forgotten(*counts)
