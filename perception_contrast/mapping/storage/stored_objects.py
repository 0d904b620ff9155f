"""Objects of a snapshot as one SQLite file, which other programs can read too."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from perception_contrast.mapping.storage.map_state import MapError, ObjectRecord
from perception_contrast.mapping.storage.packed_values import pack, unpack

_SCHEMA = """
CREATE TABLE objects(
  id INTEGER PRIMARY KEY, label TEXT, status TEXT, confidence REAL, sightings INTEGER,
  first_seen INTEGER, last_seen INTEGER, submap INTEGER,
  semantic BLOB, spatial BLOB, thumbnail BLOB, rest BLOB NOT NULL
);
CREATE VIRTUAL TABLE object_boxes USING rtree(id, min_x, max_x, min_y, max_y, min_z, max_z);
CREATE TABLE facts(name TEXT PRIMARY KEY, value BLOB NOT NULL);
"""
# Keys of a record that have a column of their own where their value is of that type; all else is in "rest".
_TYPES: dict[str, type] = {
    "id": int,
    "label": str,
    "status": str,
    "confidence": float,
    "sightings": int,
    "first_seen": int,
    "last_seen": int,
    "submap": int,
    "semantic": np.ndarray,
    "spatial": np.ndarray,
    "thumbnail": bytes,
}
_COLUMNS = (*_TYPES, "rest")


def write_objects(
    path: Path, objects: Sequence[ObjectRecord], facts: Mapping[str, Any], voxel_size: float
) -> None:
    """Writes a new file.

    Args:
        path: Must not exist, or be empty.
        objects: Each with an "id" of its own.
        facts: What else the map must remember.
        voxel_size: Of the objects' "keys", metres; their box is what can be searched for by place.

    Raises:
        sqlite3.Error: It cannot be written.
    """
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        # The file gets its name once it is whole, so it needs no journal of its own.
        database.execute("PRAGMA journal_mode = OFF")
        database.execute("PRAGMA synchronous = OFF")
        database.execute("BEGIN")
        for statement in _SCHEMA.strip().split(";\n"):
            database.execute(statement)
        places = ", ".join("?" * len(_COLUMNS))
        database.executemany(f"INSERT INTO objects VALUES ({places})", map(_row, objects))
        boxes = (_box(one, voxel_size) for one in objects)
        database.executemany(
            "INSERT INTO object_boxes VALUES (?, ?, ?, ?, ?, ?, ?)", (box for box in boxes if box is not None)
        )
        database.executemany(
            "INSERT INTO facts VALUES (?, ?)", ((name, pack(value)) for name, value in facts.items())
        )
        database.execute("COMMIT")


def read_objects(path: Path) -> tuple[list[ObjectRecord], dict[str, Any]]:
    """The objects in the order of their ids, and the facts.

    Raises:
        MapError: The file is damaged.
    """
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?immutable=1", uri=True)) as database:
            rows = database.execute(f"SELECT {', '.join(_COLUMNS)} FROM objects ORDER BY id").fetchall()
            facts = {str(name): unpack(value) for name, value in database.execute("SELECT * FROM facts")}
        return [_record(row) for row in rows], facts
    except (sqlite3.Error, ValueError, TypeError) as error:
        raise MapError(f"'{path}' is damaged ({error}); restore a copy of the map") from error


def _row(record: ObjectRecord) -> list[Any]:
    held = {name: record[name] for name in _TYPES if _fits(record.get(name), _TYPES[name])}
    rest = {name: value for name, value in record.items() if name not in held}
    return [*(_stored(held.get(name)) for name in _TYPES), pack(rest)]


def _fits(value: Any, kind: type) -> bool:
    if kind is np.ndarray:
        return isinstance(value, np.ndarray) and value.dtype == np.float32 and value.ndim == 1
    return type(value) is kind


def _stored(value: Any) -> Any:
    return value.tobytes() if isinstance(value, np.ndarray) else value


def _record(row: Sequence[Any]) -> ObjectRecord:
    held = {name: value for name, value in zip(_TYPES, row, strict=False) if value is not None}
    for name in ("semantic", "spatial"):
        if name in held:
            held[name] = np.frombuffer(held[name], np.float32)
    return {**held, **unpack(row[-1])}


def _box(record: ObjectRecord, voxel_size: float) -> tuple[float, ...] | None:
    keys = record.get("keys")
    if keys is None or not len(keys):
        return None
    low, high = np.min(keys, axis=0) * voxel_size, (np.max(keys, axis=0) + 1) * voxel_size
    return (record["id"], *(float(side) for pair in zip(low, high, strict=True) for side in pair))
