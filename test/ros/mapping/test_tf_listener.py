"""Transforms of messages: ours and tf2's tree by the same tests, and the listener over DDS."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy")

from builtin_interfaces.msg import Time  # noqa: E402
from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3  # noqa: E402
from ros_graph import Spinning, wait_for  # noqa: E402
from std_msgs.msg import Header  # noqa: E402
from tf2_msgs.msg import TFMessage  # noqa: E402

from perception_contrast.core.rigid_transform import PoseError  # noqa: E402
from perception_contrast.mapping.poses.transform_errors import (  # noqa: E402
    DisconnectedError,
    ExtrapolationError,
    UnknownFrameError,
)
from perception_contrast.ros.mapping.tf_listener import StampWatch, TfListener  # noqa: E402
from perception_contrast.ros.mapping.transform_trees import (  # noqa: E402
    BufferTree,
    Tf2Tree,
    TransformTree,
    transform_tree,
)
from perception_contrast.ros.qos import transform_qos  # noqa: E402

pytestmark = pytest.mark.ros
SECOND = 1_000_000_000
TF2 = find_spec("tf2_ros") is not None


def moved(parent: str, child: str, second: float, x: float, yaw: float = 0.0) -> TransformStamped:
    stamp = round(second * SECOND)
    return TransformStamped(
        header=Header(stamp=Time(sec=stamp // SECOND, nanosec=stamp % SECOND), frame_id=parent),
        child_frame_id=child,
        transform=Transform(
            translation=Vector3(x=float(x)),
            rotation=Quaternion(z=float(np.sin(yaw / 2)), w=float(np.cos(yaw / 2))),
        ),
    )


@pytest.fixture(
    params=[
        BufferTree,
        pytest.param(
            Tf2Tree, marks=pytest.mark.skipif(not TF2, reason="tf2_ros comes with an installed ROS 2")
        ),
    ]
)
def tree(request: pytest.FixtureRequest) -> TransformTree:
    made: TransformTree = request.param()
    for second in (1, 2, 3):
        made.add(moved("map", "odom", second, 10.0 * second), static=False)
        made.add(moved("odom", "base", second, 1.0 * second, 0.5 * second), static=False)
    made.add(moved("base", "camera", 0, 0.25), static=True)
    return made


class TestTrees:
    def test_interpolates_over_the_whole_way(self, tree: TransformTree) -> None:
        found = tree.lookup("map", "camera", 3 * SECOND // 2)
        yaw = 0.75
        expected = [15 + 1.5 + 0.25 * np.cos(yaw), 0.25 * np.sin(yaw), 0]
        np.testing.assert_allclose(found.translation, expected, atol=1e-9)
        np.testing.assert_allclose(found.rotation[:2, 0], [np.cos(yaw), np.sin(yaw)], atol=1e-9)

    def test_goes_both_ways_and_over_branches(self, tree: TransformTree) -> None:
        tree.add(moved("base", "lidar", 0, -1.0), static=True)
        np.testing.assert_allclose(tree.lookup("lidar", "camera", 10 * SECOND).translation, [1.25, 0, 0])
        there, back = tree.lookup("map", "camera", SECOND), tree.lookup("camera", "map", SECOND)
        np.testing.assert_allclose((there @ back).translation, [0, 0, 0], atol=1e-9)

    def test_zero_is_the_latest_common_time(self, tree: TransformTree) -> None:
        tree.add(moved("map", "odom", 9, 90.0), static=False)
        np.testing.assert_allclose(tree.lookup("map", "base").translation, [33, 0, 0], atol=1e-6)

    @pytest.mark.parametrize(("second", "future"), [(0.5, False), (3.5, True)])
    def test_extrapolates_neither_way(self, tree: TransformTree, second: float, future: bool) -> None:
        with pytest.raises(ExtrapolationError) as caught:
            tree.lookup("map", "camera", round(second * SECOND))
        assert caught.value.future is future

    @pytest.mark.parametrize(("second", "future"), [(0.5, False), (1.5, True)])
    def test_one_sample_is_not_enough_for_other_times(
        self, tree: TransformTree, second: float, future: bool
    ) -> None:
        tree.add(moved("camera", "lens", 1, 0.0), static=False)
        with pytest.raises(ExtrapolationError) as caught:
            tree.lookup("camera", "lens", round(second * SECOND))
        assert caught.value.future is future

    def test_names_what_is_unknown_or_not_joined(self, tree: TransformTree) -> None:
        tree.add(moved("world", "arm", 1, 0.0), static=True)
        with pytest.raises(UnknownFrameError, match="nowhere"):
            tree.lookup("map", "nowhere", SECOND)
        with pytest.raises(UnknownFrameError):
            tree.lookup("/map", "camera", SECOND)
        with pytest.raises(DisconnectedError, match=r"map|arm"):
            tree.lookup("map", "arm", SECOND)

    def test_refuses_what_is_no_transform(self, tree: TransformTree) -> None:
        turned = moved("map", "bad", 1, 0.0)
        turned.transform.rotation.w = 0.0
        for message in (turned, moved("map", "map", 1, 0.0), moved("map", "bad", 1, np.nan)):
            tree.add(message, static=False)
        with pytest.raises(UnknownFrameError):
            tree.lookup("map", "bad", SECOND)

    def test_forgets_what_is_older_than_the_cache_and_refuses_it(self, tree: TransformTree) -> None:
        tree.add(moved("odom", "base", 20, 0.0), static=False)
        tree.add(moved("odom", "base", 1, 77.0), static=False)
        tree.add(moved("odom", "base", 21, 0.0), static=False)
        with pytest.raises(ExtrapolationError):
            tree.lookup("odom", "base", SECOND)

    def test_clear_keeps_what_is_static(self, tree: TransformTree) -> None:
        tree.clear()
        with pytest.raises(PoseError):
            tree.lookup("map", "camera", SECOND)
        np.testing.assert_allclose(tree.lookup("base", "camera", SECOND).translation, [0.25, 0, 0])
        tree.add(moved("odom", "base", 0.5, 5.0), static=False)
        np.testing.assert_allclose(tree.lookup("odom", "base", SECOND // 2).translation, [5, 0, 0])


def test_the_tree_of_tf2_is_taken_where_it_is_installed() -> None:
    assert isinstance(transform_tree(), Tf2Tree if TF2 else BufferTree)


def test_our_tree_counts_what_it_refuses() -> None:
    tree = BufferTree()
    tree.add(moved("a", "a", 1, 0.0), static=False)
    assert tree.refused == {"self_transform": 1}


@pytest.mark.parametrize(
    ("turn", "reason", "words"),
    [
        (Quaternion(w=0.0), "invalid_quaternion", "no rotation"),
        (Quaternion(w=2.0), "invalid_quaternion", "has the length 2"),
        (Quaternion(w=float("nan")), "not_finite", "not finite"),
    ],
)
def test_either_tree_tells_of_a_pose_that_is_none(turn: Quaternion, reason: str, words: str) -> None:
    told: list[tuple[str, str]] = []
    tree = transform_tree(on_refused=lambda *refused: told.append(refused))
    message = moved("map", "base", 1, 0.0)
    message.transform.rotation = turn
    tree.add(message, static=False)
    assert tree.refused == {reason: 1}
    ((told_reason, text),) = told
    assert told_reason == reason and "'base' in 'map'" in text and words in text
    with pytest.raises(UnknownFrameError):
        tree.lookup("map", "base", SECOND)


class TestStampWatch:
    def test_all_stamps_far_older_for_a_second_mean_a_clock_set_back(self) -> None:
        now = [0.0]
        watch = StampWatch(10 * SECOND, lambda: now[0])
        assert not watch.set_back(100 * SECOND)
        now[0] = 0.9
        assert not watch.set_back(5 * SECOND)
        now[0] = 1.1
        assert watch.set_back(6 * SECOND)
        assert not watch.set_back(7 * SECOND)

    def test_one_wrong_publisher_among_others_does_not(self) -> None:
        now = [0.0]
        watch = StampWatch(10 * SECOND, lambda: now[0])
        for tick in range(50):
            now[0] = 0.1 * tick
            if tick % 5 == 0:
                assert not watch.set_back(100 * SECOND + tick)
            assert not watch.set_back(3 * SECOND + tick)


@pytest.fixture
def node() -> Iterator[rclpy.node.Node]:
    rclpy.init()
    made = rclpy.create_node("tf_listener_test")
    spinning = Spinning(made)
    yield made
    spinning.stop()
    made.destroy_node()
    rclpy.shutdown()


def test_listens_to_moving_and_late_static_transforms_of_several_publishers(node: rclpy.node.Node) -> None:
    static = [node.create_publisher(TFMessage, "/tf_static", transform_qos(static=True)) for _ in range(3)]
    for number, publisher in enumerate(static):
        publisher.publish(TFMessage(transforms=[moved("base", f"camera_{number}", 0, number)]))
    told = []
    listener = TfListener(node, BufferTree(), on_transforms=lambda: told.append(1))
    publisher = node.create_publisher(TFMessage, "/tf", transform_qos(static=False))
    wait_for(publisher.get_subscription_count, "the subscription to /tf")
    for second in (1, 2):
        publisher.publish(TFMessage(transforms=[moved("map", "base", second, second)]))
    wait_for(lambda: listener.received == 5, "all transforms")
    assert told
    for number in range(3):
        found = listener.tree.lookup("map", f"camera_{number}", 3 * SECOND // 2)
        np.testing.assert_allclose(found.translation, [1.5 + number, 0, 0])
    listener.clear()
    assert listener.cleared == 1
    with pytest.raises(PoseError):
        listener.tree.lookup("map", "base", SECOND)
    listener.close()
    wait_for(lambda: not publisher.get_subscription_count(), "the end of the subscription")
