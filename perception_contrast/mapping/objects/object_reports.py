"""What an update of the objects did, and what changed since somebody last asked."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from perception_contrast.core.arrays import FloatArray
from perception_contrast.core.rigid_transform import RigidTransform
from perception_contrast.mapping.objects.map_object import MapObject


@dataclass(frozen=True)
class UpdateReport:
    """What one frame did to the objects.

    Attributes:
        object_ids: For each detection the id of its object; None where it has no place in the map.
        new: Ids of objects that were not there before.
        updated: Ids of objects that were, and were seen.
        merged: Ids that are no more, to the ids that they are part of now.
        gone: Ids of objects that were seen to be no longer where they were.
        moved: Ids of objects that stand elsewhere now.
        confirmed: Ids of objects whose evidence suffices from now on.
        vacated: (n, 3) metres in the map: where the things stood that are gone or moved by this frame.
    """

    object_ids: tuple[int | None, ...] = ()
    new: tuple[int, ...] = ()
    updated: tuple[int, ...] = ()
    merged: dict[int, int] = field(default_factory=dict)
    gone: tuple[int, ...] = ()
    moved: tuple[int, ...] = ()
    confirmed: tuple[int, ...] = ()
    vacated: FloatArray = field(default_factory=lambda: np.zeros((0, 3), np.float32))


@dataclass(frozen=True)
class Observation:
    """One detection of an object.

    Attributes:
        object_id: Of the object.
        stamp: Nanoseconds.
        camera_name: Of the camera that saw it.
        label: Of the detection.
        probability: Of the detection, in [0, 1].
        track_id: Of the 2D tracker; "" where nothing is tracked.
        pose: The camera's optical frame in the map.
        low: (3,) float32 lowest corner of what was seen of it, metres, map frame.
        high: (3,) float32 highest corner.
        vector: (c,) float32 unit vector comparable with texts; None where there was none.
        thumbnail: JPEG of this view where it is the best of the object so far; else empty.
    """

    object_id: int
    stamp: int
    camera_name: str
    label: str
    probability: float
    track_id: str
    pose: RigidTransform
    low: FloatArray
    high: FloatArray
    vector: FloatArray | None = None
    thumbnail: bytes = b""


@dataclass(frozen=True)
class ObjectChanges:
    """What changed since the last ``ObjectStore.take_changed``.

    Attributes:
        objects: As they are now.
        removed: Ids that are no more and are part of no other.
        merged: Ids that are no more, to the ids that they are part of.
        sightings: Made since then, oldest first. Their ids are those of their time: see ``merged``.
    """

    objects: tuple[MapObject, ...] = ()
    removed: tuple[int, ...] = ()
    merged: dict[int, int] = field(default_factory=dict)
    sightings: tuple[Observation, ...] = ()
