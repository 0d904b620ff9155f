"""Simulated time, bags that loop, stamps that are unset or ahead, and a pause: over real DDS."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

rclpy = pytest.importorskip("rclpy")

import ros_camera  # noqa: E402
from ros_graph import Client, Serving, wait_for  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from vision_msgs.msg import Detection2DArray  # noqa: E402

from perception_contrast.ros.messages.image_messages import time_message  # noqa: E402

pytestmark = pytest.mark.ros
NODE, NAME = "/replay/perception_node", "replay/perception_node"
SECOND = 1_000_000_000


@pytest.fixture(scope="module")
def replay() -> Iterator[SimpleNamespace]:
    rclpy.init()
    client = Client()
    serving = Serving("/replay", use_sim_time=True, queries=["mug"])
    client.listen(Detection2DArray, f"{NODE}/detections")
    camera = client.node.create_publisher(Image, "/replay/image", 2)
    clock = client.node.create_publisher(Clock, "/clock", 2)
    wait_for(camera.get_subscription_count, "a reader of the camera")
    wait_for(clock.get_subscription_count, "a reader of the clock")

    def show(now: float, stamp: float) -> None:
        """One frame with a stamp, while the clock says ``now``; returns once its result is there."""
        tick = Clock(clock=time_message(round(now * SECOND)))
        clock.publish(tick)
        wait_for(lambda: serving.node.get_clock().now().nanoseconds == round(now * SECOND), "the time")
        message = ros_camera.raw()
        message.header.stamp = time_message(round(stamp * SECOND))
        before = len(client.received[f"{NODE}/detections"])
        camera.publish(message)
        wait_for(lambda: len(client.received[f"{NODE}/detections"]) > before, f"the frame of {stamp}")
        assert client.received[f"{NODE}/detections"][-1].header == message.header

    yield SimpleNamespace(client=client, serving=serving, show=show)
    serving.close()
    client.close()
    rclpy.shutdown()


def test_a_bag_that_loops_with_a_pause_is_served_on_and_no_latency_is_negative(replay) -> None:
    for _ in range(2):
        for moment in (10.0, 10.1, 400.0):
            replay.show(moment + 0.05, moment)
    values = replay.client.wait_diagnostics(NAME, "frames/out", lambda count: count == "6")
    assert values["stamps/jumps_back"] == "1" and int(values["time/jumps"]) >= 1
    assert values["worker/errors"] == "0"
    for quantile in ("p50", "p95"):
        assert float(values[f"latency_ms/end_to_end/{quantile}"]) == pytest.approx(50.0, abs=1.0)


def test_stamps_that_are_unset_or_ahead_are_served_and_told(replay) -> None:
    replay.show(500.0, 0.0)
    replay.client.wait_diagnostics(NAME, "message", lambda text: "have no stamp" in text)
    replay.show(500.1, 501.0)
    values = replay.client.wait_diagnostics(NAME, "message", lambda text: "in the future" in text)
    assert (values["stamps/zero"], values["stamps/future"]) == ("1", "1")
    assert float(values["latency_ms/end_to_end/p50"]) >= 0.0
