"""A recorded kitchen through the node as users start it: real models, real DDS, a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy")

from geometry_msgs.msg import Point  # noqa: E402
from perception_contrast_msgs.msg import FeatureMap  # noqa: E402
from perception_contrast_msgs.srv import AddExemplar, EmbedText, Similarity  # noqa: E402
from rclpy.qos import ReliabilityPolicy  # noqa: E402
from ros_graph import Client, reliabilities, wait_for  # noqa: E402
from rosbags.highlevel import AnyReader  # noqa: E402
from sensor_msgs.msg import CompressedImage, Image, RegionOfInterest  # noqa: E402
from std_msgs.msg import Header  # noqa: E402
from vision_msgs.msg import Detection2DArray, LabelInfo  # noqa: E402

from perception_contrast.ros import qos  # noqa: E402
from perception_contrast.ros.messages import feature_map  # noqa: E402
from perception_contrast.ros.messages import image_messages as convert  # noqa: E402

pytestmark = [pytest.mark.ros, pytest.mark.slow]
NODE = "/perception_node"
TOPIC = "/camera/color/image_raw/compressed"
# Read off the first image by eye, x0 y0 x1 y1.
CHAIR, CABINET, CARPET = (178, 130, 300, 250), (20, 120, 120, 220), (50, 350, 150, 450)


def recorded(folder: Path) -> CompressedImage:
    with AnyReader([folder]) as reader:
        connections = [one for one in reader.connections if one.topic == TOPIC]
        _, _, raw = next(reader.messages(connections))
        seen = reader.deserialize(raw, connections[0].msgtype)
    message = CompressedImage(format=seen.format, header=Header(frame_id=seen.header.frame_id))
    message.header.stamp.sec, message.header.stamp.nanosec = seen.header.stamp.sec, seen.header.stamp.nanosec
    message.data = convert.byte_array(seen.data)
    return message


@pytest.fixture(scope="module")
def kitchen(shared: Path, request: pytest.FixtureRequest) -> SimpleNamespace:
    """The node on frames of the kitchen; ``show(message, topic)`` publishes one, gives what comes out."""
    rclpy.init()
    client = Client()
    # Low thresholds: what is tested is the way of a result through the node, not the model's judgement.
    arguments = ["-p", "image_transport:=compressed", "-r", "image:=/camera/color/image_raw"]
    arguments += ["-p", "engine:=torch", "-p", "mask_threshold:=0.05", "-p", "detection_threshold:=0.05"]
    node = subprocess.Popen(
        [sys.executable, "-m", "perception_contrast.nodes.perception_node", "--ros-args", *arguments]
    )
    camera = client.node.create_publisher(CompressedImage, TOPIC, qos.output_qos())
    client.listen(FeatureMap, f"{NODE}/features")
    client.listen(FeatureMap, f"{NODE}/semantic_features")
    client.listen(Detection2DArray, f"{NODE}/detections")
    client.listen(Image, f"{NODE}/masks")
    client.listen(LabelInfo, f"{NODE}/label_info", qos.latched_qos())
    frame = recorded(shared / "data/kitchen_rgbd")

    def loaded() -> bool:
        assert node.poll() is None, f"the node ended with exit code {node.returncode}"
        return client.diagnostics("perception_node").get("state") == "active"

    request.addfinalizer(lambda: (node.terminate(), node.wait(30), client.close(), rclpy.shutdown()))
    wait_for(loaded, "the models", 300.0)
    # The node subscribes anew as soon as it knows that the camera is reliable.
    wait_for(lambda: reliabilities(client.node, TOPIC) == {ReliabilityPolicy.RELIABLE}, "a subscription")
    wait_for(lambda: camera.get_subscription_count() == 1, "a match")
    wait_for(lambda: client.diagnostics("perception_node").get("subscribers/masks") == "1", "discovery")

    def show(message: CompressedImage, topic: str) -> object:
        message.header.stamp.sec += 1
        camera.publish(message)
        return client.newest(topic, lambda answer: answer.header == message.header)

    return SimpleNamespace(client=client, frame=frame, show=show, node=node)


def inside(box: tuple[int, int, int, int]) -> tuple[slice, slice]:
    return slice(box[1], box[3]), slice(box[0], box[2])


def test_features_on_the_topic_are_those_of_the_tower(kitchen) -> None:
    import torch

    from perception_contrast.encoders.dinov2 import load_dino

    message = kitchen.show(kitchen.frame, f"{NODE}/features")
    values = feature_map.to_numpy(message)
    tower = load_dino("dinov2-s14")
    image = cv2.imdecode(np.frombuffer(kitchen.frame.data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255
    size = (14 * message.height, 14 * message.width)
    pixels = torch.nn.functional.interpolate(pixels, size, mode="bicubic", antialias=True).clamp(0, 1)
    mean, std = (torch.tensor(one).view(1, 3, 1, 1) for one in (tower.mean, tower.std))
    with torch.inference_mode():
        expected = tower((pixels - mean) / std).tokens[0].numpy()
    cosine = (values * expected).sum(-1) / np.linalg.norm(values, axis=-1) / np.linalg.norm(expected, axis=-1)
    assert cosine.min() > 0.995
    assert min(message.height, message.width) == 378 // 14


def test_words_and_semantic_features_live_in_one_space(kitchen) -> None:
    message = kitchen.show(kitchen.frame, f"{NODE}/semantic_features")
    answer = kitchen.client.call(EmbedText, f"{NODE}/embed_text", texts=["a white mug", "a red cabinet"])
    assert answer.success, answer.message
    assert {one.space for one in answer.embeddings} == {message.space}
    assert len(answer.embeddings[0].data) == message.channels
    np.testing.assert_allclose([np.linalg.norm(one.data) for one in answer.embeddings], 1.0, rtol=1e-5)


def test_a_point_is_most_like_what_it_lies_on(kitchen) -> None:
    kitchen.show(kitchen.frame, f"{NODE}/features")
    answer = kitchen.client.call(Similarity, f"{NODE}/similarity", kind=0, point=Point(x=70.0, y=170.0))
    assert answer.success, answer.message
    heat = np.frombuffer(answer.heatmap.data, "<f4").reshape(480, 640)
    assert heat[170, 70] > 0.9
    assert np.percentile(heat[inside(CABINET)], 5) > np.percentile(heat[inside(CARPET)], 95)


def test_what_was_shown_is_named_alike_in_labels_masks_and_detections(kitchen) -> None:
    kitchen.show(kitchen.frame, f"{NODE}/features")
    x0, y0, x1, y1 = CHAIR
    box = RegionOfInterest(x_offset=x0, y_offset=y0, width=x1 - x0, height=y1 - y0)
    answer = kitchen.client.call(AddExemplar, f"{NODE}/add_exemplar", label="that chair", kind=0, box=box)
    assert answer.success, answer.message
    info = wait_for(lambda: kitchen.client.received[f"{NODE}/label_info"], "labels")[-1]
    ids = {one.class_name: one.class_id for one in info.class_map}
    assert set(ids) == {"that chair", "unlabelled"}
    found = kitchen.show(kitchen.frame, f"{NODE}/detections")
    masks = kitchen.show(kitchen.frame, f"{NODE}/masks")
    labels = np.frombuffer(masks.data, "<u2").reshape(480, 640)
    assert (labels[inside(CHAIR)] == ids["that chair"]).mean() > 0.3
    assert set(np.unique(labels)) <= set(ids.values())
    assert found.detections, "nothing was found"
    for one in found.detections:
        assert one.results[0].hypothesis.class_id == "that chair"
        centre, (half_x, half_y) = one.bbox.center.position, (one.bbox.size_x / 2, one.bbox.size_y / 2)
        edges = (centre.x - half_x, centre.y - half_y, centre.x + half_x, centre.y + half_y)
        covered = labels[inside(tuple(round(edge + 0.5) for edge in edges))]
        assert (covered == ids["that chair"]).any()


def test_it_ends_cleanly(kitchen) -> None:
    kitchen.node.terminate()
    assert kitchen.node.wait(30) == 0
