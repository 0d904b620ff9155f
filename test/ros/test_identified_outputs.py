"""Outputs that tie to detections by their ids: instances, vectors, 3D boxes; of the node and the client."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy")

from perception_contrast_msgs.msg import RegionFeature, RegionFeatures  # noqa: E402
from rcl_interfaces.srv import SetParameters  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from ros_colours import SQUARE, Camera, Colours  # noqa: E402
from ros_graph import Client, wait_for  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from vision_msgs.msg import Detection2DArray, Detection3DArray  # noqa: E402

from perception_contrast.client import PerceptionClient  # noqa: E402
from perception_contrast.client.identified_results import (  # noqa: E402
    MessageError,
    region_features_from_message,
)

pytestmark = pytest.mark.ros
NAME, NODE = "robot/perception_node", "/robot/perception_node"
KINDS = {
    "detections": Detection2DArray,
    "instances": Image,
    "region_features": RegionFeatures,
    "detections_3d": Detection3DArray,
}
CENTRE = ((SQUARE[1] + SQUARE[3]) // 2, (SQUARE[0] + SQUARE[2]) // 2)


@pytest.fixture(scope="module")
def graph() -> Iterator[SimpleNamespace]:
    rclpy.init()
    listener = Client("listener")
    serving, camera = Colours("/robot", use_depth=True), Camera(listener.node, "/robot", distance=1.0)
    with PerceptionClient(listener.node, target=NODE, timeout=30.0, linger=0.3) as client:
        client.wait_until_active(60.0)
        client.set_queries(["red"])
        camera.colour = "red"
        yield SimpleNamespace(listener=listener, camera=camera, client=client)
        camera.close()
    serving.close()
    listener.close()
    rclpy.shutdown()


def one_frame(listener: Client, tracked: bool) -> dict[str, Any]:
    """The messages of all outputs of one image with detections, the first that was tracked or was not."""
    subscriptions = [listener.listen(kind, f"{NODE}/{name}") for name, kind in KINDS.items()]
    for name in KINDS:
        listener.received[f"{NODE}/{name}"].clear()

    def together() -> dict[str, Any]:
        by_stamp: dict[tuple[int, int], dict[str, Any]] = {}
        for name in KINDS:
            for message in list(listener.received[f"{NODE}/{name}"]):
                stamp = (message.header.stamp.sec, message.header.stamp.nanosec)
                by_stamp.setdefault(stamp, {})[name] = message
        whole = (one for one in by_stamp.values() if len(one) == len(KINDS))
        found = (
            one
            for one in whole
            if one["detections_3d"].detections and one["region_features"].tracked == tracked
        )
        return next(found, {})

    messages = wait_for(together, "all outputs of one image")
    for subscription in subscriptions:
        listener.node.destroy_subscription(subscription)
    return messages


@pytest.mark.parametrize("tracking", [True, False])
def test_one_id_ties_all_outputs_of_an_image(graph: SimpleNamespace, tracking: bool) -> None:
    parameter = Parameter("tracking", value=tracking).to_parameter_msg()
    graph.listener.call(SetParameters, f"{NODE}/set_parameters", parameters=[parameter])
    messages = one_frame(graph.listener, tracking)
    (found,) = messages["detections"].detections
    (region,) = messages["region_features"].regions
    (box,) = messages["detections_3d"].detections
    instances = np.frombuffer(messages["instances"].data, "<u2").reshape(112, 168)
    assert found.id == region.id == box.id and int(found.id) == instances[CENTRE]
    assert set(np.unique(instances)) == {int(found.id), 65535}
    assert tracking or found.id == "1"
    headers = [one.header for one in (*messages.values(), found, box)]
    assert all(header == headers[0] for header in headers) and headers[0].frame_id == "camera_optical"
    best = found.results[0].hypothesis
    assert (region.label, box.results[0].hypothesis.class_id) == (best.class_id, best.class_id)
    assert region.score == pytest.approx(best.score)
    assert box.results[0].hypothesis.score == best.score and box.results[0].pose.pose == box.bbox.center


def test_boxes_lie_where_depth_and_calibration_say(graph: SimpleNamespace) -> None:
    found = graph.client.latest_detections_3d()
    thing = found.best("red")
    assert found.frame_id == "camera_optical" and thing is not None
    # The camera is 100 pixels long, its centre at (83.5, 55.5), and everything a metre away.
    np.testing.assert_allclose(thing.box.center, [0.28, 0.0, 1.0], atol=0.06)
    np.testing.assert_allclose(thing.box.size[:2], 0.56, atol=0.12)
    assert thing.box.yaw == 0.0 and not found.of("blue") and found.of("red", 1.1) == ()


def test_depth_beyond_its_limit_makes_no_box(graph: SimpleNamespace) -> None:
    def limit(metres: float) -> None:
        parameter = Parameter("max_depth", value=metres).to_parameter_msg()
        graph.listener.call(SetParameters, f"{NODE}/set_parameters", parameters=[parameter])

    topic = f"{NODE}/detections_3d"
    subscription = graph.listener.listen(Detection3DArray, topic)
    limit(0.9)
    graph.listener.newest(topic, lambda message: not message.detections)
    limit(10.0)
    graph.listener.newest(topic, lambda message: message.detections)
    graph.listener.node.destroy_subscription(subscription)


def test_the_client_gives_masks_and_vectors_of_things(graph: SimpleNamespace) -> None:
    with graph.client.instances(30.0) as images, graph.client.region_features(30.0) as vectors:
        image, regions = next(images), next(vectors)
        while image.stamp != regions.stamp or not regions.regions:
            image, regions = (
                (next(images), regions) if image.stamp < regions.stamp else (image, next(vectors))
            )
    mask = image.of(regions.regions[0])
    assert mask[CENTRE] and not mask[5, 5] and regions.regions[0].label == "red"
    words = graph.client.embed_text(["red", "blue"])
    assert regions.semantic is not None and regions.semantic.space == words.space
    assert np.argmax(words.vectors @ regions.semantic.vectors[0]) == 0
    assert regions.spatial is not None and regions.spatial.space == graph.client.latest_features().space
    np.testing.assert_allclose(np.linalg.norm(regions.spatial.vectors, axis=1), 1.0, atol=1e-3)


def test_depth_of_a_wrong_unit_and_its_correction_are_told(graph: SimpleNamespace) -> None:
    subscription = graph.listener.listen(Detection3DArray, f"{NODE}/detections_3d")
    graph.camera.distance = 1000.0
    graph.listener.wait_report(NAME, "no detections_3d of /robot/image: depth is about 1000 times too large")
    graph.listener.received[f"{NODE}/detections_3d"].clear()
    graph.camera.distance = 1.0
    graph.listener.newest(f"{NODE}/detections_3d", lambda message: message.detections)
    graph.listener.wait_diagnostics(NAME, "message", lambda text: "detections_3d" not in text)
    graph.listener.node.destroy_subscription(subscription)


def test_without_depth_diagnostics_say_what_is_missing(graph: SimpleNamespace) -> None:
    listener = graph.listener
    camera, serving = Camera(listener.node, "/flat"), Colours("/flat", queries=["red"])
    topic = "/flat/perception_node/detections_3d"
    listener.listen(Detection3DArray, topic)
    camera.colour = "red"
    listener.wait_report(
        "flat/perception_node", "no detections_3d of /flat/image: no depth goes with the image"
    )
    assert not listener.received[topic]
    camera.close()
    serving.close()


def test_vectors_of_several_lengths_are_refused() -> None:
    regions = [RegionFeature(id="1", semantic=[1.0]), RegionFeature(id="2", semantic=[1.0, 0.0])]
    with pytest.raises(MessageError, match="1, 2 numbers"):
        region_features_from_message(RegionFeatures(regions=regions))
