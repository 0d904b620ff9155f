"""Questions about time: when something was last seen, what was here then, when it was moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from perception_contrast.memory.memory_store import MemoryStore
from perception_contrast.memory.row_filters import SIGHTINGS, full_rows, selection, to_sighting
from perception_contrast.memory.sightings import (
    EVERYTHING,
    Filters,
    Move,
    Point,
    RecallError,
    RememberedObject,
    Sighting,
)

_MOVED = 0.5  # metres


def last_seen(memory: MemoryStore, filters: Filters = EVERYTHING) -> Sighting | None:
    """Finds the newest sighting.

    Args:
        memory: The memory.
        filters: Which sightings count.

    Returns:
        The sighting; None if there is none.

    Raises:
        RecallError: The filters do not suit sightings, or the file is damaged.
    """
    return next(iter(memory.sightings(filters, limit=1)), None)


def first_seen(memory: MemoryStore, filters: Filters = EVERYTHING) -> Sighting | None:
    """Finds the oldest sighting.

    Args:
        memory: The memory.
        filters: Which sightings count.

    Returns:
        The sighting; None if there is none.

    Raises:
        RecallError: The filters do not suit sightings, or the file is damaged.
    """
    return next(iter(memory.sightings(filters, limit=1, oldest_first=True)), None)


def remembered_objects(
    memory: MemoryStore, filters: Filters = EVERYTHING, *, limit: int = 100
) -> list[RememberedObject]:
    """Lists objects that have a sighting.

    Args:
        memory: The memory.
        filters: Which sightings count.
        limit: Largest number of objects.

    Returns:
        The objects, the last seen first.

    Raises:
        RecallError: The filters do not suit sightings, or the file is damaged.
    """
    chosen = selection(SIGHTINGS, filters)
    rows = memory.query(
        f"SELECT s.object, count(*), min(s.stamp), max(s.stamp) AS newest {chosen.sql} "
        f"GROUP BY s.object ORDER BY newest DESC, s.object LIMIT {int(limit)}",
        chosen.values,
    )
    found = []
    for number, count, first, _ in rows:
        of_it = replace(filters, object_id=number)
        last = last_seen(memory, of_it)
        if last is not None:  # forgotten in between
            found.append(RememberedObject(number, _label(memory, of_it), count, first, last))
    return found


def seen_then(
    memory: MemoryStore, when: int, filters: Filters = EVERYTHING, *, window: int | None = None
) -> list[Sighting]:
    """Tells what was where at a time.

    For each object it is the last sighting up to then, if it passes the filters. An object that was seen
    elsewhere afterwards is left out.

    Args:
        memory: The memory.
        when: Nanoseconds.
        filters: Area, label and so on, without ``since`` and ``until``.
        window: Nanoseconds before ``when`` that the sighting may lie back; None for any time.

    Returns:
        The sightings, by object.

    Raises:
        RecallError: The filters have a time or do not suit sightings, or the file is damaged.
    """
    if filters.since is not None or filters.until is not None:
        raise RecallError(
            "what was here then takes one time; give when and a window, without since and until"
        )
    chosen = selection(
        SIGHTINGS, replace(filters, since=None if window is None else when - window, until=when)
    )
    later = (
        " AND NOT EXISTS (SELECT 1 FROM sightings u WHERE u.object = s.object AND u.stamp <= ? "
        "AND (u.stamp > s.stamp OR (u.stamp = s.stamp AND u.id > s.id)))"
    )
    statement = full_rows(
        SIGHTINGS, chosen._replace(sql=chosen.sql + later, values=(*chosen.values, when)), "s.object"
    )
    return [to_sighting(row) for row in memory.query(statement.sql, statement.values)]


def moves(memory: MemoryStore, object_id: int, *, distance: float = _MOVED) -> list[Move]:
    """Tells when an object went to another place.

    A single sighting elsewhere counts as an error; two in a row are a move.

    Args:
        memory: The memory.
        object_id: Id of the object in the map.
        distance: Metres from the place where it was first seen, or to which it last moved.

    Returns:
        The moves, the oldest first.

    Raises:
        RecallError: The file is damaged.
    """
    rows = memory.query(
        "SELECT stamp, (min_x + max_x) / 2, (min_y + max_y) / 2, (min_z + max_z) / 2 FROM sightings "
        "WHERE object = ? ORDER BY stamp, id",
        (object_id,),
    )
    found: list[Move] = []
    place, last_there = 0, 0  # rows: where it was settled, and when it was last seen there
    for row in range(1, len(rows)):
        if _distance(rows[row], rows[place]) <= distance:
            last_there = row
        elif row - last_there >= 2 and _distance(rows[row], rows[row - 1]) <= distance:
            move = Move(object_id, rows[last_there][0], rows[row - 1][0], rows[place][1:], rows[row][1:])
            found.append(move)
            place = last_there = row
    return found


def _distance(one: Sequence[float], other: Sequence[float]) -> float:
    left: Point = (one[1], one[2], one[3])
    return float(np.linalg.norm(np.subtract(left, (other[1], other[2], other[3]))))


def _label(memory: MemoryStore, filters: Filters) -> str:
    chosen = selection(SIGHTINGS, filters)
    rows = memory.query(
        f"SELECT s.label {chosen.sql} GROUP BY s.label ORDER BY count(*) DESC, s.label LIMIT 1", chosen.values
    )
    return str(rows[0][0]) if rows else ""
