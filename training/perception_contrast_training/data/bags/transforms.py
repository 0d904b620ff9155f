"""Poses out of recorded transforms: /tf, /tf_static and odometry, in bounded memory.

As tf2 does: a transform holds from its parent to its child at its stamp; between two stamps it is
interpolated, position linearly and rotation along the arc (REP 105 names the frames).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_contrast.recordings.bag_messages import nanoseconds

Floats = NDArray[np.float64]
WORLD_FRAMES = ("map", "world", "earth")
"""Fixed frames that mean the same place in every recording; odom is another one in each."""

FIXED_FRAMES = (*WORLD_FRAMES, "odom")
_MOST_LINKS = 64
_SET_BACK = 2_000_000_000
"""Nanoseconds that a transform may be older than its child's newest; beyond, the clock was set back."""


@dataclass(frozen=True)
class Pose:
    """Of ``child`` in ``parent``. position: (3,) metres. rotation: (4,) quaternion x, y, z, w."""

    parent: str
    child: str
    position: Floats
    rotation: Floats

    def values(self) -> list[float]:
        return [float(value) for value in (*self.position, *self.rotation)]


@dataclass
class _Edge:
    """One child's place in its parent. samples: (stamp, position, rotation), by stamp."""

    parent: str
    static: bool
    samples: list[tuple[int, Floats, Floats]] = field(default_factory=list)


class TransformBuffer:
    """Transforms of the last ``window`` nanoseconds, and static ones for ever; begun again with the clock."""

    def __init__(self, window: int = 10_000_000_000) -> None:
        self._window = window
        self._edges: dict[str, _Edge] = {}
        self._odometry: dict[str, _Edge] = {}

    def add(self, message: Any, *, static: bool = False) -> None:
        """The transforms of a tf2_msgs/TFMessage."""
        for one in message.transforms:
            move, turn = one.transform.translation, one.transform.rotation
            stamp = nanoseconds(one.header.stamp.sec, one.header.stamp.nanosec)
            self._put(
                self._edges,
                _frame(one.header.frame_id),
                _frame(one.child_frame_id),
                stamp,
                np.array([move.x, move.y, move.z], float),
                np.array([turn.x, turn.y, turn.z, turn.w], float),
                static,
            )

    def add_odometry(self, message: Any) -> None:
        """The pose of a nav_msgs/Odometry: used for a child frame that no transform places."""
        place, turn = message.pose.pose.position, message.pose.pose.orientation
        stamp = nanoseconds(message.header.stamp.sec, message.header.stamp.nanosec)
        self._put(
            self._odometry,
            _frame(message.header.frame_id),
            _frame(message.child_frame_id),
            stamp,
            np.array([place.x, place.y, place.z], float),
            np.array([turn.x, turn.y, turn.z, turn.w], float),
            False,
        )

    def _put(
        self,
        edges: dict[str, _Edge],
        parent: str,
        child: str,
        stamp: int,
        position: Floats,
        rotation: Floats,
        static: bool,
    ) -> None:
        norm = float(np.linalg.norm(rotation))
        if parent == child or not np.isfinite(position).all() or not np.isfinite(norm) or norm < 1e-6:
            return
        edge = edges.get(child)
        if edge is None or edge.parent != parent or edge.static != static:
            edge = edges[child] = _Edge(parent, static)
        sample = (stamp, position, rotation / norm)
        if static:
            edge.samples = [sample]
            return
        if edge.samples and stamp < edge.samples[-1][0] - _SET_BACK:
            # A simulation that began again, a bag played in a loop: what was then is not what is now.
            edge.samples.clear()
        insort(edge.samples, sample, key=lambda one: one[0])
        if edge.samples[-1][0] - edge.samples[0][0] > self._window:
            oldest = edge.samples[-1][0] - self._window
            del edge.samples[: bisect_left(edge.samples, oldest, key=lambda one: one[0])]

    def pose(self, frame: str, stamp: int, slop: int, fixed: str = "") -> Pose | None:
        """Where a frame is at a stamp, in ``fixed`` or the most fixed frame known; None if that is unknown.

        slop: nanoseconds within which each moving link must have a sample. Where TF does not know the
        frame at all and one odometry was recorded, the pose is that of the odometry's own child frame.
        """
        found = self._chain(_frame(frame), stamp, slop, fixed)
        if found is None and _frame(frame) not in self._edges and len(self._odometry) == 1:
            return self._chain(next(iter(self._odometry)), stamp, slop, fixed)
        return found

    def _chain(self, frame: str, stamp: int, slop: int, fixed: str) -> Pose | None:
        position, rotation = np.zeros(3), np.array([0.0, 0.0, 0.0, 1.0])
        current, moving = frame, False
        for _ in range(_MOST_LINKS):
            edge = self._edges.get(current) or self._odometry.get(current)
            if edge is None or current == (fixed or "map"):
                break
            sample = edge.samples[0][1:] if edge.static else _at(edge.samples, stamp, slop)
            if sample is None:
                return None
            position = sample[0] + rotated(sample[1], position)
            rotation = product(sample[1], rotation)
            current, moving = edge.parent, moving or not edge.static
        else:
            return None
        if fixed and current != fixed:
            return None
        if current == frame or not (moving or current in FIXED_FRAMES):
            return None
        return Pose(current, frame, position, rotation)


def _frame(name: str) -> str:
    """tf1 names began with a slash."""
    return name.lstrip("/")


def _at(samples: list[tuple[int, Floats, Floats]], stamp: int, slop: int) -> tuple[Floats, Floats] | None:
    index = bisect_left(samples, stamp, key=lambda one: one[0])
    if index < len(samples) and samples[index][0] == stamp:
        return samples[index][1:]
    near = [sample for sample in samples[max(0, index - 1) : index + 1] if abs(sample[0] - stamp) <= slop]
    if len(near) < 2:
        return near[0][1:] if near else None
    (t0, p0, r0), (t1, p1, r1) = near
    share = (stamp - t0) / (t1 - t0)
    return p0 + share * (p1 - p0), slerp(r0, r1, share)


def product(one: Floats, other: Floats) -> Floats:
    """The rotation ``other`` and then ``one``; quaternions (..., 4) x, y, z, w."""
    v, w = one[..., :3], one[..., 3:]
    u, s = other[..., :3], other[..., 3:]
    vector = w * u + s * v + np.cross(v, u)
    return np.concatenate([vector, w * s - (v * u).sum(-1, keepdims=True)], axis=-1)


def rotated(rotation: Floats, vector: Floats) -> Floats:
    """Vectors (..., 3) turned by quaternions (..., 4)."""
    twice = 2.0 * np.cross(rotation[..., :3], vector)
    turned: Floats = vector + rotation[..., 3:] * twice + np.cross(rotation[..., :3], twice)
    return turned


def slerp(one: Floats, other: Floats, share: float) -> Floats:
    """Between two unit quaternions along the shorter arc (Shoemake, 1985)."""
    cosine = float(one @ other)
    if cosine < 0:
        other, cosine = -other, -cosine
    if cosine > 0.9995:
        mixed = one + share * (other - one)
    else:
        angle = np.arccos(cosine)
        mixed = (np.sin((1 - share) * angle) * one + np.sin(share * angle) * other) / np.sin(angle)
    unit: Floats = mixed / np.linalg.norm(mixed)
    return unit
