"""Sightings of objects and keyframes, what may be asked of them, and what is found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

import numpy as np

from perception_contrast.core.arrays import FloatArray
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.rigid_transform import RigidTransform

Point: TypeAlias = tuple[float, float, float]
"""x, y, z in metres, in the map frame."""

_T = TypeVar("_T")


class RecallError(PerceptionError):
    """A memory that is damaged or of a newer version, or a question that it cannot be asked."""


@dataclass(frozen=True)
class Sighting:
    """An object as one image showed it.

    Attributes:
        stamp: Of the image, nanoseconds.
        object_id: In the map.
        label: What it was taken for in this image.
        low: Least corner of its box in the map frame, metres.
        high: Greatest corner of its box.
        pose: The camera's optical frame in the map; None where it is not known.
        camera: Which camera it was.
        score: Confidence of the detection, 0 to 1.
        vector: (c,) unit vector of the object in the image, or None; kept as float16.
        space: Identity of the vector's space.
        thumbnail: JPEG, or b"".
        id: Given by the memory, larger for those that were added later.
    """

    stamp: int
    object_id: int
    label: str
    low: Point
    high: Point
    pose: RigidTransform | None = None
    camera: str = ""
    score: float = 0.0
    vector: FloatArray | None = None
    space: str = ""
    thumbnail: bytes = b""
    id: int = 0

    @property
    def center(self) -> Point:
        """Of its box."""
        x, y, z = ((a + b) / 2 for a, b in zip(self.low, self.high, strict=True))
        return x, y, z


@dataclass(frozen=True)
class Keyframe:
    """A whole image that is worth keeping.

    Attributes:
        stamp: Of the image, nanoseconds.
        pose: The camera's optical frame in the map.
        camera: Which camera it was.
        place: Name of the room or area, or "".
        labels: What was detected in it; who forgets one of them forgets the keyframe.
        quality: How good it is among those of one place, such as its sharpness; larger is better.
        vector: (c,) unit vector of the whole image, or None; kept as float16.
        space: Identity of the vector's space.
        thumbnail: JPEG, or b"".
        id: Given by the memory.
    """

    stamp: int
    pose: RigidTransform
    camera: str = ""
    place: str = ""
    labels: tuple[str, ...] = ()
    quality: float = 0.0
    vector: FloatArray | None = None
    space: str = ""
    thumbnail: bytes = b""
    id: int = 0

    @property
    def position(self) -> Point:
        """Of the camera in the map."""
        x, y, z = (float(value) for value in self.pose.translation)
        return x, y, z


@dataclass(frozen=True)
class Filters:
    """What sightings and keyframes must be; all that is given must hold.

    Attributes:
        label: Of a sighting, or among a keyframe's; "" for any.
        object_id: Of a sighting; no keyframe has one.
        since: Stamp of the earliest, included.
        until: Stamp of the latest, included.
        low: Least corner of a box that the sighting's box touches, or the keyframe's camera lies in.
        high: Greatest corner of that box; given with ``low``.
        near: A point, with ``radius``.
        radius: Metres between ``near`` and the sighting's box, or the keyframe's camera.
        place: Of a keyframe; no sighting has one.
        camera: Name; "" for any.
    """

    label: str = ""
    object_id: int | None = None
    since: int | None = None
    until: int | None = None
    low: Point | None = None
    high: Point | None = None
    near: Point | None = None
    radius: float = 1.0
    place: str = ""
    camera: str = ""

    def __post_init__(self) -> None:
        """Raises RecallError for bounds that cannot be."""
        if (self.low is None) != (self.high is None):
            raise RecallError("a box needs both its corners; give low and high")
        numbers = (*(self.low or ()), *(self.high or ()), *(self.near or ()), self.radius)
        if not all(math.isfinite(number) for number in numbers) or self.radius < 0:
            raise RecallError("a place has numbers that are not finite, or a negative radius; give metres")

    @property
    def bounds(self) -> tuple[Point, Point] | None:
        """The box that all must touch, of ``low`` and ``high`` and around ``near``; None for everywhere."""
        boxes = []
        if self.low is not None and self.high is not None:
            boxes.append((np.minimum(self.low, self.high), np.maximum(self.low, self.high)))
        if self.near is not None:
            boxes.append((np.subtract(self.near, self.radius), np.add(self.near, self.radius)))
        if not boxes:
            return None
        low, high = np.max([box[0] for box in boxes], axis=0), np.min([box[1] for box in boxes], axis=0)
        return _point(low), _point(high)


EVERYTHING = Filters()


@dataclass(frozen=True)
class Match(Generic[_T]):
    """What was found, and the cosine of its vector with the one that was asked for. score: -1 to 1."""

    item: _T
    score: float


@dataclass(frozen=True)
class RememberedObject:
    """An object over all its sightings that passed the filters.

    Attributes:
        object_id: In the map.
        label: The most frequent one; of equally frequent ones the first by name.
        count: How often it was seen.
        first_seen: Nanoseconds.
        last: Its last sighting.
    """

    object_id: int
    label: str
    count: int
    first_seen: int
    last: Sighting


@dataclass(frozen=True)
class Move:
    """A time in which an object went to another place.

    Attributes:
        object_id: In the map.
        after: When it was last seen at the old place, nanoseconds.
        before: When it was first seen at the new one.
        origin: Its box's centre at the old place.
        destination: Its box's centre at the new one.
    """

    object_id: int
    after: int
    before: int
    origin: Point
    destination: Point


def _point(values: Sequence[float]) -> Point:
    x, y, z = (float(value) for value in values)
    return x, y, z
