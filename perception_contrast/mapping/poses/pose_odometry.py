"""PoseOdometry: the localisation's correction where there are poses alone and no odometry."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from perception_contrast.core.rigid_transform import RigidTransform
from perception_contrast.mapping.poses.pose_source import SET_BACK

_SECOND = 1_000_000_000
_FORESIGHT = 2.0
"""Times the length of the last step for which its motion tells what comes."""


@dataclass(frozen=True)
class MotionLimits:
    """What motion of a robot, or of a camera in a hand, is plausible.

    Attributes:
        metres_per_second: Largest speed.
        radians_per_second: Largest speed of turning.
        metres_per_second2: Largest acceleration.
        radians_per_second2: Largest acceleration of turning.
        metres: What noise adds to any step.
        radians: What noise adds to any turn.
    """

    metres_per_second: float = 3.0
    radians_per_second: float = 4.0
    metres_per_second2: float = 5.0
    radians_per_second2: float = 12.0
    metres: float = 0.05
    radians: float = 0.03


class PoseOdometry:
    """Makes map_from_odom of poses alone: it changes only where a pose does not follow from those of before.

    Between two poses the motion counts as odometry while neither its speed nor its change is implausible;
    otherwise the motion of just before goes on, and the rest is a jump. What a leap of the pose hides behind
    plausible motion, such as 0.2 m at 5 poses a second, stays unnoticed.

    Args:
        limits: What is plausible.
    """

    def __init__(self, limits: MotionLimits | None = None) -> None:
        self._limits = limits or MotionLimits()
        self._stamp = 0
        self._pose: RigidTransform | None = None
        self._map_from_odom = RigidTransform.identity()
        # Motion of the last plausible step and its length in nanoseconds; 0 before the first.
        self._motion, self._duration = RigidTransform.identity(), 0

    def map_from_odom(self, stamp: int, pose: RigidTransform) -> RigidTransform:
        """The correction that ``Submaps.observe`` takes.

        Args:
            stamp: Nanoseconds.
            pose: map_from_robot, or map_from_camera of one and the same camera.
        """
        last, duration = self._pose, stamp - self._stamp
        if last is not None and -SET_BACK <= duration <= 0:
            return self._map_from_odom
        self._stamp, self._pose = stamp, pose
        if last is None or duration < 0:
            self._duration = 0
            return self._map_from_odom
        known = 0 < duration <= _FORESIGHT * self._duration
        share = duration / self._duration if known else 0.0
        expected = last @ _scaled(self._motion, share)
        if self._plausible(last, pose, expected if known else None, duration / _SECOND):
            self._motion, self._duration = last.inverse() @ pose, duration
        else:
            self._map_from_odom = pose @ expected.inverse() @ self._map_from_odom
        return self._map_from_odom

    def _plausible(
        self, last: RigidTransform, pose: RigidTransform, expected: RigidTransform | None, seconds: float
    ) -> bool:
        limits = self._limits
        moved, turned = last.difference(pose)
        if (
            moved > limits.metres_per_second * seconds + limits.metres
            or turned > limits.radians_per_second * seconds + limits.radians
        ):
            return False
        if expected is None:
            return True
        off, twisted = expected.difference(pose)
        return (
            off <= limits.metres_per_second2 * seconds**2 + limits.metres
            and twisted <= limits.radians_per_second2 * seconds**2 + limits.radians
        )


def _scaled(motion: RigidTransform, share: float) -> RigidTransform:
    """A motion that goes on for ``share`` of its time."""
    turn = Rotation.from_rotvec(share * Rotation.from_matrix(motion.rotation).as_rotvec())
    return RigidTransform(np.asarray(turn.as_matrix()), share * motion.translation)
