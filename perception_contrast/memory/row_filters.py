"""Filters as SQL, and rows as sightings and keyframes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from perception_contrast.core.arrays import FloatArray
from perception_contrast.core.rigid_transform import RigidTransform
from perception_contrast.memory.sightings import Filters, Keyframe, Point, RecallError, Sighting

SIGHTINGS, KEYFRAMES = "sighting", "keyframe"
# Nanoseconds of a unit of the trees' time: in seconds it would outweigh metres, and the trees be split by it.
DAY = 86_400 * 1_000_000_000
_POSE = "{0}.px, {0}.py, {0}.pz, {0}.qx, {0}.qy, {0}.qz, {0}.qw"
_SIGHTING_COLUMNS = (
    "s.id, s.stamp, s.object, s.label, s.camera, s.score, s.min_x, s.min_y, s.min_z, s.max_x, s.max_y, "
    "s.max_z, " + _POSE.format("s") + ", p.name, v.vector, t.jpeg"
)
_KEYFRAME_COLUMNS = (
    f"s.id, s.stamp, s.camera, s.place, s.quality, {_POSE.format('s')}, p.name, v.vector, t.jpeg, "
    "(SELECT group_concat(label, char(10)) FROM keyframe_labels l WHERE l.keyframe = s.id)"
)


class Selection(NamedTuple):
    """A part of a SELECT behind its columns, for rows named ``s``, and the values of its places."""

    sql: str
    values: tuple[Any, ...]


def selection(kind: str, filters: Filters) -> Selection:
    """The rows of a kind that pass the filters.

    Args:
        kind: SIGHTINGS or KEYFRAMES.
        filters: What must hold.

    Raises:
        RecallError: The filters ask for what that kind does not have.
    """
    sql = f"FROM {kind}s s"
    where: list[str] = []
    values: list[Any] = []
    if filters.bounds is not None:
        by_place = not (filters.label or filters.place or filters.object_id is not None)
        if by_place:
            # SQLite would begin with the times; it takes the tables of a CROSS JOIN in their order.
            sql = f"FROM {kind}_boxes b CROSS JOIN {kind}s s ON s.id = b.id"
        tables = (("b.min_", "b.max_"),) if by_place else ()
        own = ("s.p", "s.p") if kind == KEYFRAMES else ("s.min_", "s.max_")
        for least, most in (*tables, own):
            for axis, low, high in zip("xyz", *filters.bounds, strict=True):
                where.append(f"{most}{axis} >= ? AND {least}{axis} <= ?")
                values += [low, high]
        if by_place:
            # The tree knows times to some minutes; the rows themselves are compared below.
            for condition, time in (("b.max_t >= ?", filters.since), ("b.min_t <= ?", filters.until)):
                if time is not None:
                    where.append(condition)
                    values.append(time / DAY)
    where_of_kind = _of_sightings if kind == SIGHTINGS else _of_keyframes
    for condition, value in where_of_kind(filters):
        where.append(condition)
        values.append(value)
    for condition, value in (("s.stamp >= ?", filters.since), ("s.stamp <= ?", filters.until)):
        if value is not None:
            where.append(condition)
            values.append(int(value))
    if filters.camera:
        where.append("s.camera = ?")
        values.append(filters.camera)
    if filters.near is not None:
        condition, more = _within(kind, filters.near, filters.radius)
        where.append(condition)
        values += more
    return Selection(f"{sql} WHERE {' AND '.join(where)}" if where else sql, tuple(values))


def _of_sightings(filters: Filters) -> list[tuple[str, Any]]:
    if filters.place:
        raise RecallError("a sighting has no place's name; filter it by a box or a point and a radius")
    conditions: list[tuple[str, Any]] = []
    if filters.label:
        conditions.append(("s.label = ?", filters.label))
    if filters.object_id is not None:
        conditions.append(("s.object = ?", int(filters.object_id)))
    return conditions


def _of_keyframes(filters: Filters) -> list[tuple[str, Any]]:
    if filters.object_id is not None:
        raise RecallError("a keyframe shows many objects; filter it by label, place or time")
    conditions: list[tuple[str, Any]] = []
    if filters.label:
        conditions.append(("s.id IN (SELECT keyframe FROM keyframe_labels WHERE label = ?)", filters.label))
    if filters.place:
        conditions.append(("s.place = ?", filters.place))
    return conditions


def _within(kind: str, near: Point, radius: float) -> tuple[str, list[float]]:
    """Condition that the box, or the camera, is no further than the radius."""
    terms, values = [], []
    for axis, value in zip("xyz", near, strict=True):
        if kind == KEYFRAMES:
            terms.append(f"(s.p{axis} - ?) * (s.p{axis} - ?)")
            values += [value, value]
        else:
            outside = f"max(s.min_{axis} - ?, 0, ? - s.max_{axis})"
            terms.append(f"{outside} * {outside}")
            values += [value] * 4
    return f"{' + '.join(terms)} <= ?", [*values, radius * radius]


def full_rows(kind: str, chosen: Selection, order: str = "", limit: int | None = None) -> Selection:
    """A whole SELECT of sightings or keyframes with spaces and thumbnails.

    Args:
        kind: SIGHTINGS or KEYFRAMES.
        chosen: Of ``selection``.
        order: Behind ORDER BY; "" for none.
        limit: Most rows; None for all.
    """
    columns = _SIGHTING_COLUMNS if kind == SIGHTINGS else _KEYFRAME_COLUMNS
    # Rows are chosen first, so that thumbnails are read of those alone.
    ordered = f" ORDER BY {order}" if order else ""
    limited = "" if limit is None else f" LIMIT {int(limit)}"
    inner = f"SELECT s.id {chosen.sql}{ordered}{limited}"
    outer = (
        f"SELECT {columns} FROM {kind}s s LEFT JOIN {kind}_vectors v ON v.id = s.id "
        "LEFT JOIN spaces p ON p.id = v.space "
        f"LEFT JOIN {kind}_thumbnails t ON t.id = s.id WHERE s.id IN ({inner}){ordered}"
    )
    return Selection(outer, chosen.values)


def to_sighting(row: Sequence[Any]) -> Sighting:
    """A row of ``full_rows`` of sightings."""
    return Sighting(
        id=row[0],
        stamp=row[1],
        object_id=row[2],
        label=row[3],
        camera=row[4],
        score=row[5],
        low=(row[6], row[7], row[8]),
        high=(row[9], row[10], row[11]),
        pose=_pose(row[12:19]),
        space=row[19] or "",
        vector=to_vector(row[20]),
        thumbnail=row[21] or b"",
    )


def to_keyframe(row: Sequence[Any]) -> Keyframe:
    """A row of ``full_rows`` of keyframes."""
    pose = _pose(row[5:12])
    assert pose is not None  # of a keyframe it is always stored
    return Keyframe(
        id=row[0],
        stamp=row[1],
        camera=row[2],
        place=row[3],
        quality=row[4],
        pose=pose,
        space=row[12] or "",
        vector=to_vector(row[13]),
        thumbnail=row[14] or b"",
        labels=tuple(sorted(row[15].split("\n"))) if row[15] else (),
    )


def to_vector(blob: bytes | None) -> FloatArray | None:
    """float32 vector of a stored float16 one."""
    return None if blob is None else np.frombuffer(blob, "<f2").astype(np.float32)


def from_vector(vector: FloatArray) -> bytes:
    """A vector as it is stored: float16, little endian."""
    return np.asarray(vector).astype("<f2").tobytes()


def from_pose(pose: RigidTransform | None) -> tuple[float | None, ...]:
    """Seven numbers: translation in metres, quaternion x, y, z, w."""
    if pose is None:
        return (None,) * 7
    return tuple(float(value) for value in (*pose.translation, *pose.quaternion))


def _pose(values: Sequence[float | None]) -> RigidTransform | None:
    numbers = [value for value in values if value is not None and math.isfinite(value)]
    return RigidTransform.of_quaternion(numbers[:3], numbers[3:]) if len(numbers) == 7 else None
