"""The example nodes beside perception_node over real DDS, and what they decide by themselves."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy")

from geometry_msgs.msg import PointStamped, Twist  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from ros_colours import HEIGHT, SQUARE, WIDTH, Camera, Colours  # noqa: E402
from ros_graph import Client, Spinning, wait_for  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from sklearn.cluster import KMeans  # noqa: E402
from std_msgs.msg import String  # noqa: E402

from examples import example  # noqa: E402
from perception_contrast.client import Thing  # noqa: E402

pytestmark = pytest.mark.ros
DISTANCE = 2.0


@pytest.fixture(scope="module")
def graph() -> Iterator[SimpleNamespace]:
    rclpy.init()
    client = Client()
    serving, camera = Colours("/robot"), Camera(client.node, "/robot", distance=DISTANCE)
    yield SimpleNamespace(client=client, camera=camera)
    camera.close()
    serving.close()
    client.close()
    rclpy.shutdown()


def parameters(**values: object) -> dict[str, object]:
    chosen = [Parameter(name, value=value) for name, value in values.items()]
    return {"namespace": "/robot", "parameter_overrides": chosen}


def test_notify_tells_of_coming_and_going(graph: SimpleNamespace) -> None:
    for change in ("appeared", "gone"):
        graph.client.listen(String, f"/robot/notify/{change}")
    graph.camera.colour = "white"
    node = example("notify").Notify(**parameters(labels=["red", "blue"], gone_after=0.3))
    thread = threading.Thread(target=node.run)
    thread.start()
    wait_for(lambda: graph.client.node.count_subscribers("/robot/perception_node/detections"), "its client")
    graph.camera.colour = "red"
    appeared = graph.client.newest("/robot/notify/appeared")
    graph.camera.colour = "blue"
    gone = graph.client.newest("/robot/notify/gone")
    node.close()
    thread.join(30.0)
    assert (appeared.data, gone.data) == ("red", "red") and not thread.is_alive()


def test_a_thing_that_flickers_neither_appears_nor_goes() -> None:
    presence = example("notify").Presence(frames=3, patience=1.0)
    seen = [presence.update(one, 0.1 * t) for t, one in enumerate([True, True, False, True, True, True])]
    assert seen == ["", "", "", "", "", "appeared"]
    assert [presence.update(False, 0.6), presence.update(True, 1.4), presence.update(False, 2.3)] == [""] * 3
    assert presence.update(False, 2.5) == "gone"


def test_follow_points_at_the_thing_and_turns_to_it(graph: SimpleNamespace) -> None:
    target, velocity = "/robot/follow/target", "/robot/cmd_vel"
    graph.client.listen(PointStamped, target)
    graph.client.listen(Twist, velocity)
    graph.camera.colour = "red"
    node = example("follow").Follow(**parameters(label="red", enabled=True))
    spinning = Spinning(node)
    node.begin()
    point = graph.client.newest(target)
    # The camera's model: focal length 100 pixels, principal point in the middle.
    x = ((SQUARE[0] + SQUARE[2] - 1) / 2 - (WIDTH - 1) / 2) / 100.0 * DISTANCE
    y = ((SQUARE[1] + SQUARE[3] - 1) / 2 - (HEIGHT - 1) / 2) / 100.0 * DISTANCE
    np.testing.assert_allclose((point.point.x, point.point.y, point.point.z), (x, y, DISTANCE), atol=0.1)
    assert point.header.frame_id == "camera_optical"
    moving = graph.client.newest(velocity, lambda one: one.linear.x > 0.0)
    # The square lies to the right: a turn to the right is negative (REP 103).
    assert moving.angular.z < 0.0 < moving.linear.x <= 0.2
    graph.camera.colour = "white"
    stopped = graph.client.newest(velocity, lambda one: one.linear.x == 0.0)
    assert stopped == Twist()
    graph.camera.colour = "red"
    graph.client.newest(velocity, lambda one: one.linear.x > 0.0)
    node.close()
    assert wait_for(lambda: graph.client.received[velocity][-1] == Twist(), "the last word")
    spinning.stop()


def test_follow_keeps_its_limits_and_its_distance() -> None:
    control = example("follow").Control(distance=1.0, speed=0.2, turn=0.6)
    assert control.velocity(0.0, 50.0) == (0.2, 0.0)
    assert control.velocity(0.0, 1.0) == (0.0, 0.0) and control.velocity(0.0, 0.3) == (0.0, 0.0)
    assert control.velocity(0.1, math.nan) == (0.0, 0.1)
    assert control.velocity(-3.0, 5.0) == (0.0, -0.6) and control.velocity(3.0, 5.0) == (0.0, 0.6)


def test_distance_is_the_median_inside_the_box_in_depth_of_any_size() -> None:
    depth = np.full((60, 80), 5.0, np.float32)
    depth[20:40, 30:50] = 2.0
    depth[29, 39] = np.nan
    thing = Thing("it", 0.9, (60.0, 40.0, 100.0, 80.0), "")
    assert example("follow").distance_to(thing, depth, (120, 160)) == 2.0
    assert math.isnan(example("follow").distance_to(thing, np.full((60, 80), np.nan), (120, 160)))


def test_cluster_gives_every_pixel_of_the_image_a_number(graph: SimpleNamespace) -> None:
    topic = "/robot/cluster/labels"
    graph.client.listen(Image, topic)
    graph.client.listen(Image, f"{topic}/image")
    graph.camera.colour = "red"
    node = example("cluster").Cluster(**parameters(clusters=2))
    thread = threading.Thread(target=node.run)
    thread.start()
    labels = graph.client.newest(topic)
    image = graph.client.newest(f"{topic}/image")
    node.close()
    thread.join(30.0)
    assert (labels.height, labels.width, labels.encoding) == (HEIGHT, WIDTH, "mono16")
    assert (image.height, image.encoding, image.header.frame_id) == (HEIGHT, "rgb8", "camera_optical")
    numbers = np.frombuffer(labels.data, "<u2").reshape(HEIGHT, WIDTH)
    assert set(np.unique(numbers)) == {1, 2} and not thread.is_alive()


def test_clusters_are_those_of_scikit_learn_and_keep_their_numbers() -> None:
    rng = np.random.default_rng(3)
    centres = np.eye(3, 8)
    truth = rng.integers(0, 3, (12, 16))
    values = (centres[truth] + 0.05 * rng.standard_normal((12, 16, 8))).astype(np.float16)
    clusters = example("cluster").Clusters(3)
    first = clusters.labels(values, "a@1")
    unit = values.reshape(-1, 8).astype(float)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    expected = KMeans(3, n_init=5, random_state=0).fit_predict(unit).reshape(12, 16)
    pairs = set(zip(first.ravel().tolist(), expected.ravel().tolist(), strict=True))
    assert len(pairs) == 3
    moved = np.roll(values, 2, axis=1)
    assert (clusters.labels(moved, "a@1") == np.roll(first, 2, axis=1)).all()
    # Means of another model's features are no start.
    assert clusters.labels(values[..., :4], "b@1").shape == (12, 16)
