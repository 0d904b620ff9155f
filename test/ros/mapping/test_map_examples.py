"""The examples that use the map, beside map_node over real DDS."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.ros
pytest.importorskip("rclpy")

import rclpy  # noqa: E402
from box_rooms import looking  # noqa: E402
from geometry_msgs.msg import PoseStamped  # noqa: E402
from map_graph import Mapping, Perception, around  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile  # noqa: E402
from ros_graph import Client, Spinning, wait_for  # noqa: E402
from std_msgs.msg import String  # noqa: E402

from examples import example  # noqa: E402
from perception_contrast.client import MapThing  # noqa: E402
from perception_contrast.mapping.geometry.boxes import Box3D  # noqa: E402


@pytest.fixture(scope="module")
def graph() -> Iterator[SimpleNamespace]:
    rclpy.init()
    robot = Perception("/examples")
    mapping = Mapping("/examples", surface_voxel_size=0.0, max_rate=0.0, name_bank=False)
    client = Client("examples_client")
    wait_for(robot.connected, "the map's subscriptions")
    poses = [*around(4), *(looking(x, 0.0, 0.0, down=1.1) for x in (-0.6, -0.3, 0.0, 0.3))]
    for number, pose in enumerate(poses, 1):
        robot.show(100.0 + 0.2 * number, pose)
        client.wait_diagnostics(
            "examples/map_node", "frames/mapped", lambda value, number=number: int(value) >= number
        )
    yield SimpleNamespace(robot=robot, client=client)
    mapping.close()
    robot.close()
    client.close()
    rclpy.try_shutdown()


def started(name: str, kind: str, **values: Any) -> Any:
    parameters = [Parameter(key, value=value) for key, value in values.items()]
    return getattr(example(name), kind)(namespace="/examples", parameter_overrides=parameters)


def test_goes_to_what_is_named_or_says_why_not(graph: SimpleNamespace) -> None:
    latched = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    graph.client.listen(String, "/examples/go_to/status", latched)
    graph.client.listen(PoseStamped, "/examples/goal_pose", 1)
    for thing, expected in (("mug", "going to 'mug'"), ("elephant", "cannot go to 'elephant'")):
        node = started("go_to", "GoTo", thing=thing)
        spinning = Spinning(node)
        try:
            wait_for(lambda node=node: node.count_subscribers("/examples/goal_pose"), "a listener")
            node.start()
            wait_for(node.done.is_set, "the end")
            wait_for(
                lambda expected=expected: any(
                    expected in one.data for one in graph.client.received["/examples/go_to/status"]
                ),
                expected,
            )
        finally:
            node.close()
            spinning.stop()
            node.destroy_node()
    (goal,) = wait_for(lambda: graph.client.received["/examples/goal_pose"], "the goal")
    assert goal.header.frame_id == "map"


def test_tells_what_the_map_sees(graph: SimpleNamespace) -> None:
    graph.client.listen(String, "/examples/moved/news", 10)
    node = started("moved", "Moved", thing="chair", period=0.2)
    spinning = Spinning(node)
    try:
        news = wait_for(lambda: graph.client.received["/examples/moved/news"], "news")
        assert news[0].data.startswith("chair ") and "was seen at" in news[0].data
    finally:
        node.close()
        spinning.stop()
        node.destroy_node()


def thing(x: float, status: str = "confirmed") -> MapThing:
    return MapThing("3", "mug", 0.9, status, Box3D(np.array([x, 0.0, 1.0]), np.full(3, 0.1)), 1, 2, 5)


def test_news_are_moves_and_ends_and_nothing_else() -> None:
    news = example("moved").News(0.2)
    assert news.of((thing(0.0),)) == ["mug 3 was seen at x 0.00 y 0.00 z 1.00 m"]
    assert news.of((thing(0.1),)) == []
    assert news.of((thing(0.5),)) == ["mug 3 was moved to x 0.50 y 0.00 z 1.00 m"]
    assert news.of((thing(0.5, "gone"),)) == ["mug 3 is gone from x 0.50 y 0.00 z 1.00 m"]
    assert news.of((thing(0.5, "gone"),)) == []
    assert news.of((thing(1.5),)) == ["mug 3 was moved to x 1.50 y 0.00 z 1.00 m"]
