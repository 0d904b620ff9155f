"""What a camera may send: encodings end to end, depth and calibration, topic names after remapping."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import cv2
import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy")

import ros_camera  # noqa: E402
from geometry_msgs.msg import TransformStamped  # noqa: E402
from rclpy.qos import ReliabilityPolicy  # noqa: E402
from ros_graph import Client, Serving, reliabilities, wait_for  # noqa: E402
from sensor_msgs.msg import CameraInfo, CompressedImage, Image  # noqa: E402
from std_msgs.msg import Header  # noqa: E402
from tf2_msgs.msg import TFMessage  # noqa: E402

from perception_contrast.core.camera_model import CameraModel  # noqa: E402
from perception_contrast.core.frame import Frame  # noqa: E402
from perception_contrast.ros import qos  # noqa: E402
from perception_contrast.ros.messages.image_messages import camera_info_message, image_message  # noqa: E402

pytestmark = pytest.mark.ros
OVERLAY = "/eye/perception_node/overlay"
RGB = ros_camera.image()
GREY = np.arange(48 * 64, dtype=np.uint16).reshape(48, 64) * 21


@pytest.fixture(scope="module")
def eye() -> Iterator[tuple[Client, Serving]]:
    rclpy.init()
    client = Client()
    client.listen(Image, OVERLAY)
    serving = Serving("/eye", cli_args=["--ros-args", "-r", "image:=/front/rgb"], use_depth=True)
    client.wait_diagnostics("eye/perception_node", "state", lambda state: state == "active")
    client.wait_diagnostics("eye/perception_node", "subscribers/overlay", lambda count: count == "1")
    yield client, serving
    serving.close()
    client.close()
    rclpy.shutdown()


@pytest.fixture(scope="module")
def camera(eye):
    publisher = eye[0].node.create_publisher(Image, "/front/rgb", qos.sensor_qos())
    wait_for(publisher.get_subscription_count, "a subscription to the remapped topic")
    return publisher


def overlay_of(eye, camera, message: Image) -> np.ndarray:
    before = len(eye[0].received[OVERLAY])
    camera.publish(message)
    wait_for(lambda: len(eye[0].received[OVERLAY]) > before, f"an overlay of {message.encoding}")
    answer = eye[0].received[OVERLAY][-1]
    assert answer.header == message.header
    return np.frombuffer(answer.data, np.uint8).reshape(answer.height, answer.width, 3)


def image(encoding: str, values: np.ndarray, padding: int = 0, big: bool = False) -> Image:
    rows = values.reshape(values.shape[0], -1).view(np.uint8)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=77)
    message = ros_camera.raw(encoding=encoding, step=rows.shape[1], is_bigendian=int(big))
    message.data = rows.tobytes()
    return message


def alpha(image: np.ndarray) -> np.ndarray:
    return np.dstack([image, np.full(image.shape[:2], 3, np.uint8)])


@pytest.mark.parametrize(
    "message",
    [
        image("rgb8", RGB, padding=5),
        image("bgr8", np.ascontiguousarray(RGB[..., ::-1])),
        image("rgba8", alpha(RGB)),
        image("bgra8", alpha(RGB[..., ::-1]), padding=4),
    ],
    ids=lambda message: message.encoding,
)
def test_colours_arrive_right_whatever_the_layout(eye, camera, message: Image) -> None:
    np.testing.assert_array_equal(overlay_of(eye, camera, message), RGB)


@pytest.mark.parametrize("big", [False, True])
def test_grey_of_sixteen_bits_in_both_byte_orders(eye, camera, big: bool) -> None:
    message = image("mono16", GREY.astype(">u2" if big else "<u2"), padding=6, big=big)
    seen = overlay_of(eye, camera, message)
    assert (np.ptp(seen, axis=2) == 0).all()
    np.testing.assert_allclose(seen[..., 0], GREY / 65535 * 255, atol=1.0)


@pytest.mark.parametrize(
    ("encoding", "code"), [("yuv422_yuy2", cv2.COLOR_RGB2YUV_YUY2), ("yuv422", cv2.COLOR_RGB2YUV_UYVY)]
)
def test_yuv_in_both_orders(eye, camera, encoding: str, code: int) -> None:
    packed = cv2.cvtColor(RGB, code)
    seen = overlay_of(eye, camera, image(encoding, packed))
    np.testing.assert_allclose(seen.astype(int), RGB, atol=6)


def test_depth_and_calibration_of_the_same_moment_travel_with_the_image(eye, camera) -> None:
    client, serving = eye
    depth = client.node.create_publisher(Image, "/eye/depth", qos.sensor_qos())
    info = client.node.create_publisher(CameraInfo, "/front/camera_info", qos.sensor_qos())
    wait_for(lambda: depth.get_subscription_count() and info.get_subscription_count(), "depth subscriptions")
    model = CameraModel(48, 64, 60.0, 61.0, 31.5, 23.5, "plumb_bob", (0.1, 0.0, 0.0, 0.0, 0.0))
    millimetres = np.full((48, 64), 1500, np.uint16)
    millimetres[0, 0] = 0

    def arrived() -> bool:
        depth.publish(image_message(millimetres, ros_camera.HEADER, "16UC1"))
        info.publish(camera_info_message(model, ros_camera.HEADER))
        overlay_of(eye, camera, ros_camera.raw())
        frame = serving.pipeline().processed[-1][0]
        return frame.depth is not None and frame.camera is not None

    wait_for(arrived, "a frame with depth")
    frame = serving.pipeline().processed[-1][0]
    assert frame.camera == model
    assert np.isnan(frame.depth[0, 0]) and frame.depth[1, 1] == pytest.approx(1.5)
    assert frame.stream == "", "its frame_id tells the camera"
    late = ros_camera.raw()
    late.header.stamp.sec += 1
    overlay_of(eye, camera, late)
    assert serving.pipeline().processed[-1][0].depth is None


def test_depth_of_a_camera_of_its_own_comes_to_the_pixels_of_the_image(eye) -> None:
    client = eye[0]
    rules = ["-r", "image:=/cam/color/rgb", "-r", "depth:=/cam/depth/raw"]
    serving = Serving("/apart", ["--ros-args", *rules], use_depth=True)
    client.listen(Image, "/apart/perception_node/overlay")
    topics = {
        "/cam/color/rgb": ros_camera.raw(),
        "/cam/color/camera_info": camera_info_message(
            CameraModel(48, 64, 60.0, 60.0, 31.5, 23.5), ros_camera.HEADER
        ),
        # Half as long a lens and half the pixels: it sees twice as far to each side.
        "/cam/depth/camera_info": camera_info_message(
            CameraModel(48, 64, 30.0, 30.0, 31.5, 23.5), ros_camera.HEADER
        ),
    }
    metres = np.full((48, 64), 4.0, np.float32)
    metres[:, 32:40] = 2.0
    topics["/cam/depth/raw"] = image_message(metres, ros_camera.HEADER)
    publishers = {
        topic: client.node.create_publisher(type(message), topic, qos.output_qos())
        for topic, message in topics.items()
    }

    def registered() -> bool:
        for topic, message in topics.items():
            publishers[topic].publish(message)
        frame = serving.pipeline().processed[-1][0] if serving.pipeline().processed else None
        return frame is not None and frame.depth is not None and frame.depth[24, 46] == 2.0

    wait_for(registered, "registered depth")
    depth = serving.pipeline().processed[-1][0].depth
    assert depth.shape == (48, 64)
    np.testing.assert_array_equal(depth[24] == 2.0, (np.arange(64) >= 32) & (np.arange(64) < 48))
    # Once the depth camera is known to be 0.5 m to the left, a pixel at 2 m moves by 15 pixels to the left.
    topics["/cam/depth/raw"].header = Header(stamp=ros_camera.HEADER.stamp, frame_id="depth_optical")
    place = TransformStamped(header=Header(frame_id="camera_optical"), child_frame_id="depth_optical")
    place.transform.translation.x = -0.5
    static = client.node.create_publisher(TFMessage, "/tf_static", qos.transform_qos(static=True))
    static.publish(TFMessage(transforms=[place]))

    def moved() -> bool:
        registered()
        seen = serving.pipeline().processed[-1][0].depth
        return seen is not None and seen[24, 18] == 2.0 and seen[24, 46] == 4.0

    wait_for(moved, "depth of a camera to the left")
    topics["/cam/depth/camera_info"].height = 96

    def counted() -> bool:
        registered()
        values = client.diagnostics("apart/perception_node")
        return int(values.get("malformed/depth_size_mismatch", 0)) > 0

    wait_for(counted, "depth that its calibration does not fit")
    serving.close()


def test_a_calibration_that_cannot_be_used_is_counted_and_the_last_good_one_stays(eye, camera) -> None:
    client, serving = eye
    info = client.node.create_publisher(CameraInfo, "/front/camera_info", qos.sensor_qos())
    wait_for(info.get_subscription_count, "a subscription to the calibration")
    model = CameraModel(48, 64, 62.0, 61.0, 31.5, 23.5)

    def seen() -> CameraModel | None:
        overlay_of(eye, camera, ros_camera.raw())
        return serving.pipeline().processed[-1][0].camera

    def good_arrived() -> bool:
        info.publish(camera_info_message(model, ros_camera.HEADER))
        return seen() == model

    wait_for(good_arrived, "the good calibration")
    absurd = camera_info_message(model, ros_camera.HEADER)
    absurd.binning_x = 1000

    def counted() -> bool:
        info.publish(absurd)
        assert seen() == model
        return int(client.diagnostics("eye/perception_node").get("malformed/camera_info_empty", 0)) > 2

    wait_for(counted, "absurd calibrations in diagnostics")
    values = client.diagnostics("eye/perception_node")
    assert "camera_info" in values["malformed/last"] and "driver" in values["malformed/last"]
    assert values["worker/errors"] == "0"


def test_the_overlay_comes_as_jpeg_to_who_asks_for_it(eye, camera) -> None:
    client = eye[0]
    topic = f"{OVERLAY}/compressed"
    assert not client.received[topic]
    client.listen(CompressedImage, topic)
    smooth = np.zeros((48, 64, 3), np.uint8)
    smooth[...] = (200, 90, 30)

    def arrived() -> bool:
        overlay_of(eye, camera, image("rgb8", smooth))
        return len(client.received[topic]) > 0

    wait_for(arrived, "an overlay as JPEG")
    message = client.received[topic][-1]
    assert message.header == ros_camera.HEADER and "jpeg" in message.format
    seen = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert seen.shape == smooth.shape
    np.testing.assert_allclose(seen.astype(int), smooth, atol=6)


def test_broken_depth_is_counted_and_left_out(eye, camera) -> None:
    client, serving = eye
    depth = client.node.create_publisher(Image, "/eye/depth", qos.sensor_qos())
    wait_for(depth.get_subscription_count, "a depth subscription")
    header = ros_camera.raw().header
    stamp = type(header.stamp)(sec=99, nanosec=0)

    def counted() -> bool:
        broken = image_message(np.zeros((48, 64), np.uint16), type(header)(stamp=stamp), "16UC1")
        broken.step = 1
        depth.publish(broken)
        image = ros_camera.raw()
        image.header.stamp = stamp
        overlay_of(eye, camera, image)
        return any(key.startswith("malformed/depth_") for key in client.diagnostics("eye/perception_node"))

    wait_for(counted, "malformed depth in diagnostics")
    assert serving.pipeline().processed[-1][0].depth is None


def test_a_subscription_is_reliable_while_every_publisher_is(eye) -> None:
    client, topic = eye[0], "/adapting/image"
    serving = Serving("/adapting")
    client.listen(Image, "/adapting/perception_node/overlay")
    assert wait_for(lambda: reliabilities(client.node, topic), "a subscription") == {
        ReliabilityPolicy.BEST_EFFORT
    }
    client.node.create_publisher(Image, topic, qos.output_qos())
    wait_for(lambda: reliabilities(client.node, topic) == {ReliabilityPolicy.RELIABLE}, "reliable")
    best_effort = client.node.create_publisher(Image, topic, qos.sensor_qos())
    wait_for(lambda: reliabilities(client.node, topic) == {ReliabilityPolicy.BEST_EFFORT}, "best effort")
    client.node.destroy_publisher(best_effort)
    wait_for(lambda: reliabilities(client.node, topic) == {ReliabilityPolicy.RELIABLE}, "reliable again")
    serving.close()


def test_compressed_is_appended_after_remapping(eye) -> None:
    remap = ["--ros-args", "-r", "image:=/front/rgb"]
    serving = Serving("/other", cli_args=remap, image_transport="compressed", autostart=False)
    values = eye[0].wait_diagnostics("other/perception_node", "input/topic", bool)
    assert values["input/topic"] == "/front/rgb/compressed"
    serving.close()


def test_inputs_that_are_swapped_by_remapping_stay_swapped(eye) -> None:
    client = eye[0]
    swap = [f"{a}/{what}:={b}/{what}" for what in ("image", "depth") for a, b in ("lr", "rl")]
    rules = [word for rule in swap for word in ("-r", rule)]
    serving = Serving("/swapped", ["--ros-args", *rules], cameras=["l", "r"], use_depth=True)
    for name in ("l", "r"):
        client.listen(Image, f"/swapped/perception_node/{name}/overlay")
    image = client.node.create_publisher(Image, "/swapped/r/image", qos.output_qos())
    depth = client.node.create_publisher(Image, "/swapped/r/depth", qos.output_qos())
    header = ros_camera.HEADER

    def frames() -> list[Frame]:
        depth.publish(image_message(np.full((48, 64), 1000, np.uint16), header, "16UC1"))
        image.publish(ros_camera.raw())
        processed = (frame for frame, _ in serving.pipeline().processed)
        return [frame for frame in processed if frame.depth is not None]

    found = wait_for(frames, "an image with its depth")
    assert {frame.stream for frame in found} == {"l"}
    serving.close()


@pytest.mark.parametrize("rule", ["camera_info:=/camera_info", "perception_node:camera_info:=/camera_info"])
def test_a_calibration_that_is_remapped_to_its_own_name_is_read_there(
    eye, monkeypatch: pytest.MonkeyPatch, rule: str
) -> None:
    arguments = ["--ros-args", "-r", "image:=/cam/rect/image", "-r", rule]
    monkeypatch.setattr(sys, "argv", ["perception_node", *arguments])
    serving = Serving("/", arguments, use_depth=True, autostart=False)
    topics = [one.topic for camera in serving.node._cameras.values() for one in camera.input.topics]
    serving.close()
    assert topics == ["/cam/rect/image", "/depth", "/camera_info"]


def test_the_overlay_as_jpeg_is_beside_an_overlay_that_is_remapped(eye) -> None:
    client = eye[0]
    serving = Serving("/moved", ["--ros-args", "-r", "~/overlay:=/view"], autostart=False)

    def names() -> set[str]:
        return {name for name, _ in client.node.get_topic_names_and_types()}

    wait_for(lambda: {"/view", "/view/compressed"} <= names(), "both topics")
    assert "/moved/perception_node/overlay/compressed" not in names()
    serving.close()
