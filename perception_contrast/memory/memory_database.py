"""The SQLite file of a memory: its tables, its opening, and what its errors mean.

WAL mode: one process writes, others read beside it. A commit is on the disk when it returns.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from perception_contrast.core.errors import StorageError
from perception_contrast.core.file_writing import MAKE_ROOM
from perception_contrast.memory.sightings import RecallError

VERSION = 1
_APPLICATION = 0x50434D45  # "PCME"
_BUSY_SECONDS = 10.0
_POSE = "px REAL, py REAL, pz REAL, qx REAL, qy REAL, qz REAL, qw REAL"
_BOX = "min_x, max_x, min_y, max_y, min_z, max_z, min_t, max_t"  # metres, days
# Vectors and images have tables of their own, so that rows without them lie close together.
_VECTOR = "id INTEGER PRIMARY KEY, space INTEGER NOT NULL REFERENCES spaces(id), vector BLOB NOT NULL"
_SCHEMA = f"""
CREATE TABLE spaces(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, channels INTEGER NOT NULL);
CREATE TABLE changes(id INTEGER PRIMARY KEY CHECK (id = 1), deletions INTEGER NOT NULL);
INSERT INTO changes VALUES (1, 0);
CREATE TABLE sightings(
  id INTEGER PRIMARY KEY AUTOINCREMENT, stamp INTEGER NOT NULL, object INTEGER NOT NULL, label TEXT NOT NULL,
  camera TEXT NOT NULL, score REAL NOT NULL, min_x REAL, min_y REAL, min_z REAL, max_x REAL, max_y REAL,
  max_z REAL, {_POSE}
);
CREATE INDEX sightings_object ON sightings(object, stamp);
CREATE INDEX sightings_label ON sightings(label, stamp);
CREATE INDEX sightings_stamp ON sightings(stamp);
CREATE VIRTUAL TABLE sighting_boxes USING rtree(id, {_BOX});
CREATE TABLE sighting_vectors({_VECTOR});
CREATE TABLE sighting_thumbnails(id INTEGER PRIMARY KEY, jpeg BLOB NOT NULL);
CREATE TABLE keyframes(
  id INTEGER PRIMARY KEY AUTOINCREMENT, stamp INTEGER NOT NULL, camera TEXT NOT NULL, place TEXT NOT NULL,
  quality REAL NOT NULL, {_POSE}
);
CREATE INDEX keyframes_stamp ON keyframes(stamp);
CREATE INDEX keyframes_place ON keyframes(place, stamp);
CREATE VIRTUAL TABLE keyframe_boxes USING rtree(id, {_BOX});
CREATE TABLE keyframe_labels(
  label TEXT NOT NULL, keyframe INTEGER NOT NULL, PRIMARY KEY(label, keyframe)
) WITHOUT ROWID;
CREATE INDEX keyframe_labels_keyframe ON keyframe_labels(keyframe);
CREATE TABLE keyframe_vectors({_VECTOR});
CREATE TABLE keyframe_thumbnails(id INTEGER PRIMARY KEY, jpeg BLOB NOT NULL);
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {VERSION};
"""


def open_database(path: Path, *, read_only: bool) -> sqlite3.Connection:
    """Opens a memory's file; one that is not there is made, unless it is only to be read.

    The connection commits each statement that stands outside of ``BEGIN``.

    Raises:
        RecallError: There is none to read, it is damaged, of another program, or of a newer version.
        StorageError: It cannot be made.
    """
    if read_only and not path.exists():
        raise RecallError(f"there is no memory '{path}'; it is made when something is remembered")
    with explained(path):
        mode = "ro" if read_only else "rwc"
        database = sqlite3.connect(
            f"{path.resolve().as_uri()}?mode={mode}",
            uri=True,
            timeout=_BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            _prepare(database, path, read_only=read_only)
        except BaseException:
            database.close()
            raise
        return database


def _prepare(database: sqlite3.Connection, path: Path, *, read_only: bool) -> None:
    application = database.execute("PRAGMA application_id").fetchone()[0]
    version = database.execute("PRAGMA user_version").fetchone()[0]
    is_empty = not database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if not is_empty and application != _APPLICATION:
        raise RecallError(f"'{path}' is a database of another program; choose another file")
    if version > VERSION:
        raise RecallError(
            f"'{path}' is of version {version}, and this one reads up to {VERSION}; "
            "update perception_contrast"
        )
    if read_only:
        if is_empty:
            raise RecallError(f"'{path}' holds nothing yet; it is filled when something is remembered")
        return
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    # What is forgotten is overwritten, not only unlinked.
    database.execute("PRAGMA secure_delete = ON")
    if is_empty:
        database.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}COMMIT;")


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turns SQLite's errors into those that name the file and the remedy.

    Raises:
        RecallError: The file is damaged, or somebody else writes it for too long.
        StorageError: There is no room, or no right to write.
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        text = str(error)
        if "full" in text or "disk I/O" in text:
            raise StorageError(f"'{path}' cannot be written ({text}): {MAKE_ROOM}") from error
        if "locked" in text or "busy" in text:
            raise RecallError(
                f"'{path}' is in use by another process ({text}); stop it, or try again"
            ) from error
        if "unable to open" in text or "readonly" in text:
            raise StorageError(
                f"'{path}' cannot be opened ({text}): check the folder and its permissions"
            ) from error
        raise RecallError(f"'{path}' cannot be read ({text}); restore a copy, or delete it") from error
    except sqlite3.DatabaseError as error:
        raise RecallError(f"'{path}' is damaged ({error}); restore a copy, or delete it") from error


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """All of what is done in it, or nothing."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")
