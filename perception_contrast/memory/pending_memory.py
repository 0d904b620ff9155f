"""PendingMemory: what was seen and is not in the memory's file yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from perception_contrast.mapping.map_frame import MapFrame
from perception_contrast.mapping.objects.object_reports import Observation
from perception_contrast.memory.forgetting import Retention, retain
from perception_contrast.memory.memory_store import MemoryStore
from perception_contrast.memory.pending_keyframes import PendingKeyframes
from perception_contrast.memory.rewriting import rename_objects
from perception_contrast.memory.sightings import Point, Sighting

_MOST_SIGHTINGS = 10_000  # that wait for a memory which cannot be written
_RETAIN_EVERY = 1000  # sightings and keyframes


class PendingMemory:
    """One thread at a time may call it, but for ``offer``, which any may call.

    Args:
        retention: What the memory may hold.
    """

    def __init__(self, retention: Retention) -> None:
        self._retention = retention
        self._keyframes = PendingKeyframes()
        self._sightings: list[Sighting] = []
        self._merged: dict[int, int] = {}
        self._since_retained = 0

    def offer(self, frame: MapFrame, space: str) -> None:
        """Keeps a frame as a keyframe where it shows something new; space: identity of its features'."""
        self._keyframes.offer(frame, space)

    def take(self, seen: Iterable[Observation], merged: Mapping[int, int], space: str) -> None:
        """Takes what a map noted since the last call.

        Args:
            seen: Oldest first.
            merged: Ids of objects that are no more, to those of the objects that they are part of.
            space: Identity of the space of their vectors.
        """
        self._sightings += [_remembered(one, space) for one in seen]
        del self._sightings[:-_MOST_SIGHTINGS]
        self._merged |= merged

    def write(self, memory: MemoryStore) -> None:
        """Brings all of it into a memory, and keeps that within its limits.

        Raises:
            StorageError: It cannot be written; all waits for the next call.
            RecallError: The memory is damaged.
        """
        keyframes = self._keyframes.waiting()
        memory.add(self._sightings, keyframes)
        self._since_retained += len(self._sightings) + len(keyframes)
        self._sightings.clear()
        self._keyframes.written(len(keyframes))
        rename_objects(memory, self._merged)
        self._merged.clear()
        if self._since_retained >= _RETAIN_EVERY:
            self._since_retained = 0
            retain(memory, self._retention, memory.counts().newest or 0)

    def clear(self) -> None:
        """Drops all of it."""
        self._sightings.clear()
        self._keyframes.clear()
        self._merged.clear()


def _remembered(one: Observation, space: str) -> Sighting:
    return Sighting(
        stamp=one.stamp,
        object_id=one.object_id,
        label=one.label,
        low=_point(one.low),
        high=_point(one.high),
        pose=one.pose,
        camera=one.camera_name,
        score=one.probability,
        vector=one.vector,
        space=space if one.vector is not None else "",
        thumbnail=one.thumbnail,
    )


def _point(values: Iterable[float]) -> Point:
    x, y, z = (float(value) for value in values)
    return x, y, z
