"""The tree of transforms behind one protocol: tf2's own where it is installed, ours elsewhere."""

from __future__ import annotations

from collections import Counter
from typing import Protocol

import numpy as np
from geometry_msgs.msg import TransformStamped

from perception_contrast.core.arrays import Float64Array
from perception_contrast.core.rigid_transform import RigidTransform
from perception_contrast.mapping.poses.transform_buffer import CACHE_TIME, OnRefused, TransformBuffer
from perception_contrast.mapping.poses.transform_errors import (
    DisconnectedError,
    ExtrapolationError,
    UnknownFrameError,
)
from perception_contrast.ros.messages.image_messages import nanoseconds

try:
    import tf2_ros
    from rclpy.duration import Duration
    from rclpy.time import Time
except ImportError:
    # tf2 is no wheel: it comes with an installed ROS 2 alone.
    tf2_ros = None


class TransformTree(Protocol):
    """Takes transforms of messages, and looks them up.

    Attributes:
        refused: How many were not taken, by reason, where the tree tells.
    """

    refused: Counter[str]

    def add(self, message: TransformStamped, *, static: bool) -> None:
        """Takes the transform of a message of /tf or /tf_static."""
        ...

    def lookup(self, target: str, source: str, stamp: int = 0) -> RigidTransform:
        """target_from_source at nanoseconds, 0 for the latest. Raises PoseError."""
        ...

    def clear(self) -> None:
        """Forgets what moves, as after a jump of the clock."""
        ...


class BufferTree:
    """Our ``TransformBuffer`` as a TransformTree.

    Args:
        cache_time: Nanoseconds for which transforms are kept.
        on_refused: As of ``TransformBuffer``.
    """

    def __init__(self, cache_time: int = CACHE_TIME, on_refused: OnRefused | None = None) -> None:
        self._buffer = TransformBuffer(cache_time, on_refused=on_refused)
        self.refused = self._buffer.refused

    def add(self, message: TransformStamped, *, static: bool) -> None:
        """As ``TransformTree.add``."""
        self._buffer.set_quaternion(
            message.header.frame_id,
            message.child_frame_id,
            nanoseconds(message.header.stamp),
            *_numbers(message),
            static=static,
        )

    def lookup(self, target: str, source: str, stamp: int = 0) -> RigidTransform:
        """As ``TransformTree.lookup``."""
        return self._buffer.lookup(target, source, stamp)

    def clear(self) -> None:
        """As ``TransformTree.clear``."""
        self._buffer.clear()


class Tf2Tree:
    """tf2_ros.Buffer as a TransformTree. tf2 logs what it refuses and tells no number of it.

    Args:
        cache_time: Nanoseconds for which transforms are kept.
        on_refused: As of ``TransformBuffer``; for poses that are none, which tf2 is not given.
    """

    def __init__(self, cache_time: int = CACHE_TIME, on_refused: OnRefused | None = None) -> None:
        self._buffer = tf2_ros.Buffer(cache_time=Duration(nanoseconds=cache_time))
        self._checks = TransformBuffer(on_refused=on_refused)
        self.refused = self._checks.refused

    def add(self, message: TransformStamped, *, static: bool) -> None:
        """As ``TransformTree.add``."""
        if self._checks.checked(message.header.frame_id, message.child_frame_id, *_numbers(message)) is None:
            return
        set_transform = self._buffer.set_transform_static if static else self._buffer.set_transform
        set_transform(message, "perception_contrast")

    def lookup(self, target: str, source: str, stamp: int = 0) -> RigidTransform:
        """As ``TransformTree.lookup``."""
        try:
            found = self._buffer.lookup_transform(target, source, Time(nanoseconds=stamp)).transform
        except tf2_ros.ConnectivityException as error:
            raise DisconnectedError(f"{error}; see that what publishes the transform between runs") from error
        except tf2_ros.ExtrapolationException as error:
            raise self._extrapolation(target, source, stamp, str(error)) from error
        except (tf2_ros.LookupException, tf2_ros.InvalidArgumentException) as error:
            raise UnknownFrameError(f"{error}; see that it is published and spelt so") from error
        move, turn = found.translation, found.rotation
        return RigidTransform.of_quaternion((move.x, move.y, move.z), (turn.x, turn.y, turn.z, turn.w))

    def _extrapolation(self, target: str, source: str, stamp: int, text: str) -> ExtrapolationError:
        """tf2's error with a direction: its text has one unless a link has a single sample."""
        try:
            latest = self._buffer.get_latest_common_time(target, source).nanoseconds
        except tf2_ros.TransformException:
            latest = None
        future = "into the past" not in text and (latest is None or stamp > latest)
        remedy = "wait for it, or see that the publishers' clocks agree"
        return ExtrapolationError(f"{text}; {remedy}", stamp, latest if future else None, future=future)

    def clear(self) -> None:
        """As ``TransformTree.clear``."""
        self._buffer.clear()


def transform_tree(cache_time: int = CACHE_TIME, on_refused: OnRefused | None = None) -> TransformTree:
    """tf2's tree where tf2_ros is installed, else ours.

    Args:
        cache_time: Nanoseconds for which transforms are kept.
        on_refused: As of ``TransformBuffer``.
    """
    kind = BufferTree if tf2_ros is None else Tf2Tree
    return kind(cache_time, on_refused)


def _numbers(message: TransformStamped) -> tuple[Float64Array, Float64Array]:
    """Translation (3,) in metres and quaternion (4,) as x, y, z, w."""
    move, turn = message.transform.translation, message.transform.rotation
    return np.array([move.x, move.y, move.z]), np.array([turn.x, turn.y, turn.z, turn.w])
