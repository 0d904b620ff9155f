"""RigidTransform: rotation and translation from one frame to another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from perception_contrast.core.arrays import Float64Array
from perception_contrast.core.errors import PerceptionError

_LEAST_NORM = 1e-6
UNIT_TOLERANCE = 0.01
"""How far the squared length of a message's quaternion may be from 1, as tf2 has it."""


class PoseError(PerceptionError):
    """A pose that is not there, or that is no pose. ``reason`` is a short slug that counters use."""

    reason = "invalid_pose"


class NotFiniteError(PoseError):
    """A pose with numbers that are not finite."""

    reason = "not_finite"


class QuaternionError(PoseError):
    """A pose whose quaternion is no rotation."""

    reason = "invalid_quaternion"


@dataclass(frozen=True)
class RigidTransform:
    """Takes points of a child frame to its parent frame.

    Attributes:
        rotation: (3, 3) float64, columns are the child's axes in the parent.
        translation: (3,) float64 metres, the child's origin in the parent.
    """

    rotation: Float64Array
    translation: Float64Array

    @classmethod
    def identity(cls) -> RigidTransform:
        """The transform that moves nothing."""
        return cls(np.eye(3), np.zeros(3))

    @classmethod
    def of_quaternion(
        cls,
        translation: Sequence[float] | Float64Array,
        quaternion: Sequence[float] | Float64Array,
        *,
        unit: bool = False,
    ) -> RigidTransform:
        """The transform of a translation in metres and a quaternion (x, y, z, w), as in ROS messages.

        The quaternion is normalised.

        Args:
            translation: (3,) metres.
            quaternion: (4,) x, y, z, w.
            unit: Refuse a quaternion that is not of unit length within what rounding explains, as tf2 does.

        Raises:
            NotFiniteError: A number is not finite.
            QuaternionError: The quaternion is zero, or has not the length that was asked for.
        """
        xyz, q = np.asarray(translation, float), np.asarray(quaternion, float)
        norm = float(np.linalg.norm(q))
        for name, numbers in (("position", xyz), ("quaternion", q)):
            if not np.isfinite(numbers).all():
                raise NotFiniteError(
                    f"the {name} {_told(numbers)} has numbers that are not finite; check who publishes it"
                )
        if norm < _LEAST_NORM:
            raise QuaternionError(
                f"the quaternion {_told(q)} is no rotation; publish (0, 0, 0, 1) where nothing is turned"
            )
        if unit and abs(norm * norm - 1.0) > UNIT_TOLERANCE:
            raise QuaternionError(
                f"the quaternion {_told(q)} has the length {norm:.3g}, and a rotation has 1; publish it "
                "normalised, as x, y, z, w"
            )
        return cls(np.asarray(Rotation.from_quat(q / norm).as_matrix()), xyz)

    @property
    def quaternion(self) -> Float64Array:
        """(4,) float64 (x, y, z, w), w not negative."""
        q = np.asarray(Rotation.from_matrix(self.rotation).as_quat())
        return -q if q[3] < 0 else q

    def __matmul__(self, other: RigidTransform) -> RigidTransform:
        """``a_from_b @ b_from_c`` is ``a_from_c``."""
        return RigidTransform(
            self.rotation @ other.rotation, self.rotation @ other.translation + self.translation
        )

    def inverse(self) -> RigidTransform:
        """The way back."""
        return RigidTransform(self.rotation.T, -(self.rotation.T @ self.translation))

    def apply(self, points: Float64Array) -> Float64Array:
        """Points (n, 3) of the child frame in the parent frame, metres."""
        return np.asarray(points @ self.rotation.T + self.translation)

    def interpolated(self, other: RigidTransform, share: float) -> RigidTransform:
        """The transform ``share`` of the way to ``other``: slerp and a straight line, as tf2 does.

        Args:
            other: Between the same frames.
            share: 0 for this one, 1 for ``other``.
        """
        between = Slerp([0.0, 1.0], Rotation.from_matrix(np.stack([self.rotation, other.rotation])))
        straight = (1.0 - share) * self.translation + share * other.translation
        return RigidTransform(np.asarray(between(share).as_matrix()), straight)

    def difference(self, other: RigidTransform) -> tuple[float, float]:
        """Metres and radians between this transform and ``other``."""
        turn = Rotation.from_matrix(self.rotation.T @ other.rotation).magnitude()
        return float(np.linalg.norm(self.translation - other.translation)), float(turn)


def _told(numbers: Float64Array) -> str:
    return f"({', '.join(f'{number:.4g}' for number in numbers)})"
