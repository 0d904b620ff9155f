"""Poses from transforms and from samples, and the queue that waits for them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from perception_contrast.core.rigid_transform import RigidTransform
from perception_contrast.mapping.poses.pose_queue import PoseQueue
from perception_contrast.mapping.poses.pose_source import (
    NoPosesError,
    PoseFrameError,
    SampledPoses,
    TransformPoses,
)
from perception_contrast.mapping.poses.transform_buffer import TransformBuffer
from perception_contrast.mapping.poses.transform_errors import (
    DisconnectedError,
    ExtrapolationError,
    SampleGapError,
)

SECOND = 1_000_000_000
LEVEL = np.array([0.0, 0.0, 0.0, 1.0])


def shift(x: float = 0.0, y: float = 0.0) -> RigidTransform:
    return RigidTransform(np.eye(3), np.array([x, y, 0.0]))


def driving() -> TransformBuffer:
    """Along x at 1 m/s from 1 to 3 s; the camera is 0.5 m to the left."""
    buffer = TransformBuffer()
    for second in (1, 2, 3):
        buffer.set_transform("map", "base", second * SECOND, shift(second))
    buffer.set_transform("base", "camera", 0, shift(0, 0.5), static=True)
    return buffer


def sampled(**arguments: object) -> SampledPoses:
    poses = SampledPoses("map", **arguments)  # type: ignore[arg-type]
    for tenth in range(10, 31):
        assert poses.add(tenth * SECOND // 10, "map", np.array([tenth / 10, 0, 0]), LEVEL)
    return poses


def test_transforms_give_the_camera_in_the_map() -> None:
    found = TransformPoses(driving(), "map").pose("camera", 5 * SECOND // 2)
    np.testing.assert_allclose(found.translation, [2.5, 0.5, 0])


def test_samples_without_a_body_are_the_camera_itself() -> None:
    found = sampled().pose("camera", 205 * SECOND // 100)
    np.testing.assert_allclose(found.translation, [2.05, 0, 0])


def test_a_fixed_place_on_the_body_is_turned_with_it() -> None:
    poses = SampledPoses("map", body_from_camera=shift(1.0))
    left = np.asarray(Rotation.from_euler("z", np.pi / 2).as_quat())
    for stamp in (SECOND, SECOND + 1000):
        poses.add(stamp, "map", np.array([5.0, 0, 0]), left, "base")
    np.testing.assert_allclose(poses.pose("camera", SECOND).translation, [5, 1, 0], atol=1e-12)


def test_odometry_is_joined_to_camera_and_map_by_transforms() -> None:
    buffer = TransformBuffer()
    buffer.set_transform("base", "camera", 0, shift(0, 0.5), static=True)
    buffer.set_transform("map", "odom", 0, shift(100), static=True)
    poses = SampledPoses("map", transforms=buffer)
    for stamp, x in ((SECOND, 1.0), (2 * SECOND, 2.0)):
        poses.add(stamp, "odom", np.array([x, 0, 0]), LEVEL, "base")
    np.testing.assert_allclose(poses.pose("camera", 3 * SECOND // 2).translation, [101.5, 0.5, 0])
    np.testing.assert_allclose(poses.pose("base", 3 * SECOND // 2).translation, [101.5, 0, 0])


def test_poses_in_another_frame_than_the_map_are_refused_with_the_remedy() -> None:
    poses = SampledPoses("map")
    poses.add(SECOND, "odom", np.zeros(3), LEVEL, "base")
    with pytest.raises(PoseFrameError, match="set the map's frame to 'odom'"):
        poses.pose("base", SECOND)
    with pytest.raises(DisconnectedError):
        joined = SampledPoses("map", transforms=two_trees())
        joined.add(SECOND, "odom", np.zeros(3), LEVEL, "base")
        joined.pose("base", SECOND)
    unset = SampledPoses("")
    unset.add(SECOND, "odom", np.ones(3), LEVEL)
    np.testing.assert_allclose(unset.pose("camera", SECOND).translation, [1, 1, 1])


def two_trees() -> TransformBuffer:
    buffer = TransformBuffer()
    buffer.set_transform("map", "a", 0, shift(), static=True)
    buffer.set_transform("odom", "b", 0, shift(), static=True)
    return buffer


def test_nothing_is_interpolated_over_a_gap() -> None:
    poses = sampled(max_gap=SECOND)
    poses.add(9 * SECOND, "map", np.array([9.0, 0, 0]), LEVEL)
    with pytest.raises(SampleGapError, match=r"gap of 6\.000 s"):
        poses.pose("camera", 5 * SECOND)
    np.testing.assert_allclose(poses.pose("camera", 9 * SECOND).translation, [9, 0, 0])


def test_bad_samples_are_counted_and_none_at_all_is_said() -> None:
    poses = SampledPoses("map")
    assert not poses.add(SECOND, "map", np.zeros(3), np.zeros(4))
    assert poses.refused == {"invalid_quaternion": 1}
    with pytest.raises(NoPosesError, match="pose topic"):
        poses.pose("camera", SECOND)


def test_a_message_that_was_never_filled_in_sets_no_clock_back() -> None:
    poses = sampled()
    for stamp in (5, 6):
        assert poses.add(stamp * SECOND, "map", np.array([stamp, 0, 0]), LEVEL)
    assert not poses.add(0, "", np.zeros(3), np.zeros(4))
    np.testing.assert_allclose(poses.pose("camera", 5 * SECOND).translation, [5, 0, 0])


def test_a_clock_that_was_set_back_begins_anew() -> None:
    poses = sampled()
    for stamp in (5, 6):
        assert poses.add(stamp, "map", np.array([stamp, 0, 0]), LEVEL)
    np.testing.assert_allclose(poses.pose("camera", 5).translation, [5, 0, 0])
    with pytest.raises(ExtrapolationError):
        poses.pose("camera", 2 * SECOND)
    assert poses.add(4, "map", np.array([4.0, 0, 0]), LEVEL), "a little out of order is no jump"
    np.testing.assert_allclose(poses.pose("camera", 6).translation, [6, 0, 0])


def test_after_clear_an_older_clock_begins_anew() -> None:
    poses = sampled()
    poses.clear()
    with pytest.raises(ExtrapolationError):
        poses.pose("camera", SECOND)
    assert poses.add(10, "map", np.zeros(3), LEVEL)


class TestQueue:
    def queue(self, **arguments: float) -> tuple[PoseQueue[str], TransformBuffer]:
        buffer = driving()
        return PoseQueue(TransformPoses(buffer, "map"), **arguments), buffer  # type: ignore[arg-type]

    def test_what_is_known_leaves_at_once(self) -> None:
        queue, _ = self.queue()
        queue.put("image", "camera", 2 * SECOND, now=0.0)
        (posed,) = queue.take(now=0.0)
        assert (posed.item, posed.stamp, posed.pose.translation[0]) == ("image", 2 * SECOND, 2.0)
        assert (queue.posed, queue.late, len(queue)) == (1, 0, 0)

    def test_what_is_early_waits_and_is_counted_late(self) -> None:
        queue, buffer = self.queue(patience=0.5)
        queue.put("image", "camera", 7 * SECOND // 2, now=10.0)
        assert queue.take(now=10.1) == []
        buffer.set_transform("map", "base", 4 * SECOND, shift(4))
        assert [one.item for one in queue.take(now=10.2)] == ["image"]
        assert (queue.posed, queue.late, dict(queue.dropped)) == (1, 1, {})

    def test_what_never_comes_is_dropped_after_the_patience_with_the_reason(self) -> None:
        queue, _ = self.queue(patience=0.5)
        queue.put("image", "camera", 7 * SECOND // 2, now=10.0)
        assert queue.take(now=10.49) == [] and len(queue) == 1
        assert queue.take(now=10.5) == [] and len(queue) == 0
        assert queue.dropped == {"extrapolation_future": 1}
        assert "'map' to 'base'" in queue.last_error

    def test_what_lies_before_all_data_is_not_waited_for(self) -> None:
        queue, _ = self.queue(patience=100.0)
        queue.put("image", "camera", SECOND // 2, now=0.0)
        assert queue.take(now=0.0) == []
        assert queue.dropped == {"extrapolation_past": 1}

    def test_an_unknown_frame_is_waited_for_as_at_start(self) -> None:
        queue, buffer = self.queue(patience=1.0)
        queue.put("image", "other", 2 * SECOND, now=0.0)
        assert queue.take(now=0.5) == []
        buffer.set_transform("base", "other", 0, shift(), static=True)
        assert len(queue.take(now=0.9)) == 1

    def test_a_camera_keeps_its_order_and_holds_no_other_up(self) -> None:
        queue, buffer = self.queue(patience=1.0)
        buffer.set_transform("map", "fixed", 0, shift(), static=True)
        queue.put("early", "camera", 4 * SECOND, now=0.0)
        queue.put("behind it", "camera", 2 * SECOND, now=0.0)
        queue.put("other", "fixed", 3 * SECOND, now=0.0)
        assert [one.item for one in queue.take(now=0.1)] == ["other"]
        buffer.set_transform("map", "base", 4 * SECOND, shift(4))
        assert sorted(one.item for one in queue.take(now=0.2)) == ["behind it", "early"]

    def test_the_oldest_leaves_a_full_queue(self) -> None:
        queue, _ = self.queue(limit=2)
        for number, stamp in enumerate((8, 9, 3)):
            queue.put(str(number), "camera", stamp * SECOND, now=0.0)
        assert (len(queue), dict(queue.dropped)) == (2, {"queue_full": 1})
        assert [one.item for one in queue.take(now=9.0)] == ["2"]

    def test_clear_drops_what_waits(self) -> None:
        queue, _ = self.queue()
        queue.put("image", "camera", 9 * SECOND, now=0.0)
        queue.clear()
        assert (len(queue), dict(queue.dropped)) == (0, {"clock_jump": 1})
