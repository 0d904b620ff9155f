"""Submaps: periods of mapping that are moved when the localisation jumps, instead of smearing the map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perception_contrast.core.arrays import Float64Array
from perception_contrast.core.rigid_transform import RigidTransform
from perception_contrast.mapping.poses.pose_source import SET_BACK

_SECOND = 1_000_000_000
_LONGEST_JUMP = 4


@dataclass(frozen=True)
class JumpLimits:
    """What counts as a jump of map_from_odom.

    Attributes:
        metres: A shift at the robot's place beyond which it is one.
        radians: A turn beyond which it is one.
        window: Nanoseconds within which that must happen; slower change is the odometry's drift being
            corrected, which leaves the map where it is. A jump that lasts for four times as long counts as
            over.
        settled: Share of the limits within which two observations agree, so that the jump is over.
    """

    metres: float = 0.10
    radians: float = 0.05
    window: int = _SECOND // 2
    settled: float = 0.2


@dataclass
class _Submap:
    """first, last: nanoseconds. place: (3,) mean of ``count`` positions of the robot in the map."""

    first: int
    last: int
    place: Float64Array
    count: int = 1

    def add(self, stamp: int, place: Float64Array) -> None:
        self.last, self.count = stamp, self.count + 1
        self.place = self.place + (place - self.place) / self.count


@dataclass(frozen=True)
class _Observation:
    stamp: int
    map_from_odom: RigidTransform
    place: Float64Array


class Submaps:
    """Numbers periods of mapping, and says how they move when map_from_odom jumps.

    A jump (loop closure, relocalisation) tells that the poses before it had drifted. The drift is taken to
    have grown linearly in time since the last moment at which the map was right: the beginning, or the last
    jump. So a submap in the middle of that time turns and shifts by half of the jump, about the robot's
    place back then, and one of before it stays. Observe each frame before it is mapped; leave frames out
    while ``settled`` is False, for their poses lie between the old and the new ones.

    Args:
        period: Seconds of one submap.
        limits: What counts as a jump.
        longest: Seconds before a jump that it reaches back at most.
        first: Number of the first submap; one more than the last of a map that was loaded.

    Attributes:
        jumps: How many jumps moved submaps.
        outliers: How often map_from_odom left and came back within two observations or so.

    Example:
        >>> submaps = Submaps(period=5.0)
        >>> submaps.observe(0, RigidTransform.identity(), np.zeros(3))
        {}
        >>> submaps.number
        0
    """

    def __init__(
        self, period: float = 5.0, limits: JumpLimits | None = None, *, longest: float = 600.0, first: int = 0
    ) -> None:
        self.jumps = self.outliers = 0
        self._period, self._longest = round(period * _SECOND), round(longest * _SECOND)
        self._limits = limits or JumpLimits()
        self._first = first
        self._submaps: list[_Submap] = []
        # Index of the first submap that a jump may move, and the time since which drift may have grown.
        self._movable, self._right_since = 0, 0
        self._anchor: _Observation | None = None
        self._previous: _Observation | None = None
        self._jumping_since: int | None = None

    @property
    def number(self) -> int:
        """Number of the present submap."""
        return self._first + max(0, len(self._submaps) - 1)

    @property
    def settled(self) -> bool:
        """Whether poses can be trusted: False from the first sign of a jump until it is over."""
        return self._jumping_since is None

    def observe(
        self, stamp: int, map_from_odom: RigidTransform, place: Float64Array
    ) -> dict[int, RigidTransform]:
        """Takes one observation of the localisation.

        Args:
            stamp: Nanoseconds.
            map_from_odom: The localisation's correction of odometry; see ``PoseOdometry`` where there are
                poses alone.
            place: (3,) the robot's position in the map at the stamp, metres.

        Returns:
            new_map_from_old_map of each submap that moves, by number; empty unless a jump has just ended.
        """
        now = _Observation(stamp, map_from_odom, place)
        anchor, previous = self._anchor, self._previous
        if anchor is None or previous is None or stamp < previous.stamp - SET_BACK:
            self._restart(now)
            return {}
        if stamp < previous.stamp:
            return {}
        self._previous = now
        steady = not self._differs(previous, now, self._limits.settled)
        if self._differs(anchor, now, 1.0):
            return self._jumped(anchor, now, steady)
        if self._jumping_since is not None:
            self.outliers, self._jumping_since = self.outliers + 1, None
        if steady and stamp - anchor.stamp >= self._limits.window:
            self._anchor = now
        self._count(now)
        return {}

    def _jumped(self, anchor: _Observation, now: _Observation, steady: bool) -> dict[int, RigidTransform]:
        """The moves of a jump that is over; {} while it goes on."""
        if self._jumping_since is None:
            self._jumping_since = now.stamp
        if not steady and now.stamp - self._jumping_since < _LONGEST_JUMP * self._limits.window:
            return {}
        moves = self._moves(anchor, now)
        self._restart(now)
        self.jumps += 1
        return moves

    def _restart(self, now: _Observation) -> None:
        """A new submap, and the map of before is right: no later jump moves it."""
        self._begin(now)
        self._movable, self._right_since = len(self._submaps) - 1, now.stamp
        self._anchor = self._previous = now
        self._jumping_since = None

    def _begin(self, now: _Observation) -> None:
        self._submaps.append(_Submap(now.stamp, now.stamp, now.place))

    def _count(self, now: _Observation) -> None:
        present = self._submaps[-1]
        if now.stamp - present.first >= self._period:
            self._begin(now)
        else:
            present.add(now.stamp, now.place)

    def _differs(self, one: _Observation, other: _Observation, share: float) -> bool:
        change = _change(one, other)
        metres = np.linalg.norm(change.apply(_old_place(one, other)) - _old_place(one, other))
        radians = change.difference(RigidTransform.identity())[1]
        return bool(metres > share * self._limits.metres or radians > share * self._limits.radians)

    def _moves(self, before: _Observation, now: _Observation) -> dict[int, RigidTransform]:
        change = _change(before, now)
        place = _old_place(before, now)
        shift = change.apply(place) - place
        turn = RigidTransform(change.rotation, np.zeros(3))
        since = max(self._right_since, before.stamp - self._longest)
        duration = max(1, before.stamp - since)
        moves = {}
        for index in range(self._movable, len(self._submaps)):
            submap = self._submaps[index]
            share = float(np.clip(((submap.first + submap.last) / 2 - since) / duration, 0.0, 1.0))
            if share == 0.0:
                continue
            rotation = RigidTransform.identity().interpolated(turn, share).rotation
            center = submap.place
            moves[self._first + index] = RigidTransform(rotation, center + share * shift - rotation @ center)
            submap.place = center + share * shift
        return moves


def _change(before: _Observation, now: _Observation) -> RigidTransform:
    """new_map_from_old_map at the robot's present place."""
    return now.map_from_odom @ before.map_from_odom.inverse()


def _old_place(before: _Observation, now: _Observation) -> Float64Array:
    """(3,) where the robot would stand now by the correction of before."""
    return _change(before, now).inverse().apply(now.place)
