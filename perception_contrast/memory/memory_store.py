"""MemoryStore: sightings and keyframes in one SQLite file, and their search.

One process writes; others open the same file to read. All methods may be called from any thread.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np

from perception_contrast.core.arrays import FloatArray
from perception_contrast.mapping.storage.privacy import PrivacyFilter, Shot, filtered
from perception_contrast.memory.memory_database import explained, open_database, transaction
from perception_contrast.memory.row_filters import (
    DAY,
    KEYFRAMES,
    SIGHTINGS,
    Selection,
    from_pose,
    from_vector,
    full_rows,
    selection,
    to_keyframe,
    to_sighting,
)
from perception_contrast.memory.sightings import (
    EVERYTHING,
    Filters,
    Keyframe,
    Match,
    Point,
    RecallError,
    Sighting,
)
from perception_contrast.memory.vector_search import VectorSearch

_SIGHTING_COLUMNS = (
    "stamp, object, label, camera, score, min_x, min_y, min_z, max_x, max_y, max_z, "
    "px, py, pz, qx, qy, qz, qw"
)
_KEYFRAME_COLUMNS = "stamp, camera, place, quality, px, py, pz, qx, qy, qz, qw"
_MOST_RESULTS = 10_000
_Remembered = TypeVar("_Remembered", Sighting, Keyframe)
_NEWEST, _OLDEST = "s.stamp DESC, s.id DESC", "s.stamp, s.id"


@dataclass(frozen=True)
class Counts:
    """Rows of a memory. oldest, newest: stamps, None for an empty one."""

    sightings: int
    keyframes: int
    objects: int
    oldest: int | None
    newest: int | None


class MemoryStore:
    """What was seen, where and when.

    Args:
        path: The file; made if it is not there, with its folder.
        read_only: Open it beside the process that writes it.
        privacy: Called on each image before it is stored; None stores all as they come.

    Raises:
        RecallError: The file is damaged, of another program or of a newer version, or absent and read-only.
        StorageError: It cannot be made.
    """

    def __init__(self, path: Path, *, read_only: bool = False, privacy: PrivacyFilter | None = None) -> None:
        self.path, self.read_only, self._privacy = path, read_only, privacy
        self._lock = threading.RLock()
        if not read_only:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._database = open_database(path, read_only=read_only)
        self._search = {kind: VectorSearch(self._database, kind) for kind in (SIGHTINGS, KEYFRAMES)}

    def __enter__(self) -> MemoryStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file; a second call does nothing."""
        with self._lock:
            self._database.close()

    def copy_to(self, path: Path) -> None:
        """Writes a copy to another file, even if this one was removed meanwhile.

        Args:
            path: The other file.

        Raises:
            RecallError: This file is damaged.
            StorageError: The other file cannot be written.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        with explained(path), self.reading() as database, closing(sqlite3.connect(path)) as copy:
            database.backup(copy)

    def add(self, sightings: Sequence[Sighting] = (), keyframes: Sequence[Keyframe] = ()) -> int:
        """Stores sightings and keyframes in one transaction, which is on the disk when this returns.

        The privacy filter sees each image first; what it refuses is not stored at all.

        Args:
            sightings: Their ``id`` is ignored.
            keyframes: Their ``id`` is ignored.

        Returns:
            How many were stored.

        Raises:
            RecallError: The file is damaged, or open for reading only.
            StorageError: The file cannot be written; nothing of this call is stored.
        """
        seen = [one for one in map(self._private_sighting, sightings) if one is not None]
        kept = [one for one in map(self._private_keyframe, keyframes) if one is not None]
        if not seen and not kept:
            return 0
        with self.writing() as database:
            for sighting in seen:
                _insert_sighting(database, sighting)
            for keyframe in kept:
                _insert_keyframe(database, keyframe)
        return len(seen) + len(kept)

    def sightings(
        self, filters: Filters = EVERYTHING, *, limit: int | None = 100, oldest_first: bool = False
    ) -> list[Sighting]:
        """Lists sightings.

        Args:
            filters: Which sightings count.
            limit: Largest number; None for all.
            oldest_first: Put the oldest first instead of the newest.

        Returns:
            The sightings.

        Raises:
            RecallError: The filters do not suit sightings, or the file is damaged.
        """
        order = _OLDEST if oldest_first else _NEWEST
        return [to_sighting(row) for row in self._rows(SIGHTINGS, filters, order, limit)]

    def keyframes(
        self, filters: Filters = EVERYTHING, *, limit: int | None = 100, oldest_first: bool = False
    ) -> list[Keyframe]:
        """Lists keyframes.

        Args:
            filters: Which keyframes count.
            limit: Largest number; None for all.
            oldest_first: Put the oldest first instead of the newest.

        Returns:
            The keyframes.

        Raises:
            RecallError: The filters do not suit keyframes, or the file is damaged.
        """
        order = _OLDEST if oldest_first else _NEWEST
        return [to_keyframe(row) for row in self._rows(KEYFRAMES, filters, order, limit)]

    def search_sightings(
        self, vector: FloatArray, space: str, filters: Filters = EVERYTHING, *, limit: int = 10
    ) -> list[Match[Sighting]]:
        """Finds the sightings whose vectors are nearest to a vector; the search is exact.

        Args:
            vector: (c,) unit vector of words or of an image.
            space: Its embedding space.
            filters: Which sightings count.
            limit: Largest number of results.

        Returns:
            Sightings with their cosines, the best first.

        Raises:
            SpaceError: The memory has vectors of other spaces only.
            RecallError: The filters do not suit sightings, or the file is damaged.
        """
        found = self._nearest(SIGHTINGS, vector, space, filters, limit)
        return _matches(map(to_sighting, self._rows_of(SIGHTINGS, list(found))), found)

    def search_keyframes(
        self, vector: FloatArray, space: str, filters: Filters = EVERYTHING, *, limit: int = 10
    ) -> list[Match[Keyframe]]:
        """Finds the keyframes whose vectors are nearest to a vector; the search is exact.

        Args:
            vector: (c,) unit vector of words or of an image.
            space: Its embedding space.
            filters: Which keyframes count.
            limit: Largest number of results.

        Returns:
            Keyframes with their cosines, the best first.

        Raises:
            SpaceError: The memory has vectors of other spaces only.
            RecallError: The filters do not suit keyframes, or the file is damaged.
        """
        found = self._nearest(KEYFRAMES, vector, space, filters, limit)
        return _matches(map(to_keyframe, self._rows_of(KEYFRAMES, list(found))), found)

    def search_objects(
        self, vector: FloatArray, space: str, filters: Filters = EVERYTHING, *, limit: int = 10
    ) -> list[Match[int]]:
        """Finds objects by the unit means of their sightings' vectors; the search is exact.

        Args:
            vector: (c,) unit vector of words or of an image.
            space: Its embedding space.
            filters: An object needs one sighting that passes them.
            limit: Largest number of results.

        Returns:
            Ids of objects with their cosines, the best first.

        Raises:
            SpaceError: The memory has vectors of other spaces only.
            RecallError: The filters do not suit sightings, or the file is damaged.
        """
        with self.reading() as database:
            ids, means = self._search[SIGHTINGS].object_means(space, len(vector))
            if filters != EVERYTHING:
                chosen = selection(SIGHTINGS, filters)
                passed = database.execute(f"SELECT DISTINCT s.object {chosen.sql}", chosen.values)
                keep = np.isin(ids, [row[0] for row in passed])
                ids, means = ids[keep], means[keep]
        scores = means @ np.ascontiguousarray(vector, np.float32)
        order = np.argsort(-scores, kind="stable")[:limit]
        return [Match(int(ids[row]), float(scores[row])) for row in order]

    def counts(self) -> Counts:
        """Counts what is stored.

        Returns:
            Numbers of rows, and the oldest and newest stamp.

        Raises:
            RecallError: The file is damaged.
        """
        with self.reading() as database:
            row = database.execute(
                "SELECT (SELECT count(*) FROM sightings), (SELECT count(*) FROM keyframes), "
                "(SELECT count(DISTINCT object) FROM sightings), "
                "(SELECT min(stamp) FROM (SELECT min(stamp) AS stamp FROM sightings "
                "UNION ALL SELECT min(stamp) FROM keyframes)), "
                "(SELECT max(stamp) FROM (SELECT max(stamp) AS stamp FROM sightings "
                "UNION ALL SELECT max(stamp) FROM keyframes))"
            ).fetchone()
        return Counts(*row)

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Runs a SELECT over the tables of docs/map_format.md.

        Args:
            sql: The statement.
            values: Values of its placeholders.

        Returns:
            The rows.

        Raises:
            RecallError: The statement is wrong, or the file is damaged.
        """
        with self.reading() as database:
            return database.execute(sql, values).fetchall()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Lends the connection to this thread alone.

        Yields:
            The connection.

        Raises:
            RecallError: SQLite reports an error.
        """
        with self._lock, explained(self.path):
            yield self._database

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Lends the connection for one transaction, which is on the disk afterwards.

        Yields:
            The connection.

        Raises:
            RecallError: The file is damaged, or open for reading only.
            StorageError: The file cannot be written; nothing is changed.
        """
        if self.read_only:
            raise RecallError(f"'{self.path}' was opened to be read; open it for writing to change it")
        with self.reading() as database, transaction(database):
            yield database

    def _rows(self, kind: str, filters: Filters, order: str, limit: int | None) -> list[tuple[Any, ...]]:
        statement = full_rows(kind, selection(kind, filters), order, limit)
        return self.query(statement.sql, statement.values)

    def _rows_of(self, kind: str, ids: Sequence[int]) -> list[tuple[Any, ...]]:
        chosen = Selection(f"FROM {kind}s s WHERE s.id IN ({', '.join('?' * len(ids))})", tuple(ids))
        statement = full_rows(kind, chosen)
        return self.query(statement.sql, statement.values)

    def _nearest(
        self, kind: str, vector: FloatArray, space: str, filters: Filters, limit: int
    ) -> dict[int, float]:
        """Ids and cosines of the best rows, best first."""
        chosen = selection(kind, filters)
        with self.reading() as database:
            ids = None
            if filters != EVERYTHING:
                found = database.execute(f"SELECT s.id {chosen.sql}", chosen.values).fetchall()
                ids = np.array([row[0] for row in found], np.int64)
            return self._search[kind].nearest(vector, space, ids, min(limit, _MOST_RESULTS))

    def _private_sighting(self, sighting: Sighting) -> Sighting | None:
        shot = Shot(
            "object", sighting.thumbnail, sighting.vector, sighting.stamp, (sighting.label,), sighting.center
        )
        kept = filtered(self._privacy, shot)
        return None if kept is None else replace(sighting, thumbnail=kept.jpeg, vector=kept.vector)

    def _private_keyframe(self, keyframe: Keyframe) -> Keyframe | None:
        shot = Shot(
            "keyframe",
            keyframe.thumbnail,
            keyframe.vector,
            keyframe.stamp,
            keyframe.labels,
            keyframe.position,
        )
        kept = filtered(self._privacy, shot)
        return None if kept is None else replace(keyframe, thumbnail=kept.jpeg, vector=kept.vector)


def _matches(items: Iterable[_Remembered], found: Mapping[int, float]) -> list[Match[_Remembered]]:
    """Items with the scores of their ids, in the order of the scores; without what was deleted meanwhile."""
    by_id = {one.id: one for one in items}
    return [Match(by_id[key], score) for key, score in found.items() if key in by_id]


def _insert_sighting(database: sqlite3.Connection, one: Sighting) -> None:
    row = (
        *(one.stamp, one.object_id, one.label, one.camera, float(one.score), *one.low, *one.high),
        *from_pose(one.pose),
    )
    number = _inserted(database, "sightings", _SIGHTING_COLUMNS, row)
    _insert_box(database, SIGHTINGS, number, one.low, one.high, one.stamp)
    _insert_content(database, SIGHTINGS, number, one)


def _insert_keyframe(database: sqlite3.Connection, one: Keyframe) -> None:
    row = (one.stamp, one.camera, one.place, float(one.quality), *from_pose(one.pose))
    number = _inserted(database, "keyframes", _KEYFRAME_COLUMNS, row)
    _insert_box(database, KEYFRAMES, number, one.position, one.position, one.stamp)
    labels = ((label, number) for label in sorted(set(one.labels)))
    database.executemany("INSERT INTO keyframe_labels VALUES (?, ?)", labels)
    _insert_content(database, KEYFRAMES, number, one)


def _insert_box(
    database: sqlite3.Connection, kind: str, number: int, low: Point, high: Point, stamp: int
) -> None:
    sides = [float(side) for pair in zip(low, high, strict=True) for side in pair]
    days = stamp / DAY
    places = ", ".join("?" * 9)
    database.execute(f"INSERT INTO {kind}_boxes VALUES ({places})", (number, *sides, days, days))


def _insert_content(database: sqlite3.Connection, kind: str, number: int, one: Sighting | Keyframe) -> None:
    set_vector(database, kind, number, one.space, one.vector)
    if one.thumbnail:
        database.execute(f"INSERT INTO {kind}_thumbnails VALUES (?, ?)", (number, one.thumbnail))


def _inserted(database: sqlite3.Connection, table: str, columns: str, row: Sequence[Any]) -> int:
    places = ", ".join("?" * len(row))
    cursor = database.execute(f"INSERT INTO {table}({columns}) VALUES ({places})", row)
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def set_vector(
    database: sqlite3.Connection, kind: str, number: int, space: str, vector: FloatArray | None
) -> None:
    """Gives a row its vector, in the place of the one that it had; None takes it away.

    Args:
        database: Within a transaction.
        kind: SIGHTINGS or KEYFRAMES.
        number: The row's id.
        space: Identity of the vector's space.
        vector: (c,).

    Raises:
        RecallError: The vector is not finite, has no space, or another length than those of its space.
    """
    if vector is None:
        database.execute(f"DELETE FROM {kind}_vectors WHERE id = ?", (number,))
        return
    if not space or not np.isfinite(vector).all():
        raise RecallError(
            "a vector has no space, or numbers that are not finite; check the model that made it"
        )
    database.execute("INSERT OR IGNORE INTO spaces(name, channels) VALUES (?, ?)", (space, len(vector)))
    row = database.execute("SELECT id, channels FROM spaces WHERE name = ?", (space,)).fetchone()
    if row[1] != len(vector):
        raise RecallError(
            f"a vector of {len(vector)} numbers is none of space '{space}', whose vectors have {row[1]}"
        )
    database.execute(
        f"INSERT OR REPLACE INTO {kind}_vectors VALUES (?, ?, ?)", (number, row[0], from_vector(vector))
    )
