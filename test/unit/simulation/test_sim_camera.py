"""sim_camera: its transforms, depth, intrinsics and ground truth must tell one and the same room."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

rclpy = pytest.importorskip("rclpy")
pytest.importorskip("mujoco")

from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from sensor_msgs.msg import CameraInfo, Image  # noqa: E402
from std_msgs.msg import Header  # noqa: E402
from tf2_msgs.msg import TFMessage  # noqa: E402
from vision_msgs.msg import LabelInfo  # noqa: E402

from perception_contrast.ros.qos import latched_qos, output_qos  # noqa: E402
from perception_contrast_sim.nodes.sim_camera import (  # noqa: E402
    OPTICAL_IN_LINK,
    instance_ids,
    label_ids,
    transform,
)

pytestmark = pytest.mark.ros

TOPICS: dict[str, tuple[type, Any]] = {
    "/camera/color/image_raw": (Image, output_qos()),
    "/camera/color/camera_info": (CameraInfo, output_qos()),
    "/camera/depth/image_rect_raw": (Image, output_qos()),
    "/camera/ground_truth/labels": (Image, output_qos()),
    "/camera/ground_truth/instances": (Image, output_qos()),
    "/camera/ground_truth/label_info": (LabelInfo, latched_qos()),
    "/tf": (TFMessage, output_qos(100)),
    "/tf_static": (TFMessage, latched_qos()),
}


def rotated(quaternion: Any, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points (n, 3) turned by a unit quaternion message: p + 2 w (v x p) + 2 v x (v x p)."""
    v = np.array([quaternion.x, quaternion.y, quaternion.z])
    once = np.cross(v, points)
    result: NDArray[np.float64] = points + 2 * (quaternion.w * once + np.cross(v, once))
    return result


def moved(message: Any, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points of the child frame in the header's frame."""
    t = message.transform.translation
    return rotated(message.transform.rotation, points) + np.array([t.x, t.y, t.z])


def test_the_optical_frame_is_turned_as_rep_103_has_it() -> None:
    turn = transform(Header(), "optical", (0, 0, 0), OPTICAL_IN_LINK).transform.rotation
    found = np.array([turn.x, turn.y, turn.z, turn.w])
    np.testing.assert_allclose(found * np.sign(found[3]), [-0.5, 0.5, -0.5, 0.5], atol=1e-12)


def test_ids_of_labels_and_instances() -> None:
    instances = np.array([[-1, 0, 3], [7, 3, 5]], np.int32)
    np.testing.assert_array_equal(instance_ids(instances), [[65535, 0, 3], [7, 3, 5]])
    labels = label_ids(instances, {0: 4, 3: 1, 7: 2})
    assert labels.dtype == np.uint16
    np.testing.assert_array_equal(labels, [[65535, 4, 1], [2, 1, 65535]])


def array_of(message: Any) -> NDArray[Any]:
    kind = {"mono16": np.uint16, "32FC1": np.float32}[message.encoding]
    return np.frombuffer(message.data, kind).reshape(message.height, message.width)


def stamp(message: Any) -> tuple[int, int]:
    header = message.transforms[0].header if isinstance(message, TFMessage) else message.header
    return header.stamp.sec, header.stamp.nanosec


@pytest.fixture(scope="module")
def filmed() -> Iterator[dict[str, Any]]:
    """One moment of every topic, then SIGTERM; plus the exit code."""
    command = [sys.executable, "-m", "perception_contrast_sim.nodes.sim_camera", "--ros-args"]
    command += ["-p", "width:=160", "-p", "height:=120", "-p", "offline:=true", "-p", "seed:=4"]
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("film_critic", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    got: dict[str, dict[tuple[int, int], Any]] = {topic: {} for topic in TOPICS}
    for topic, (kind, qos) in TOPICS.items():
        node.create_subscription(
            kind, topic, lambda message, topic=topic: got[topic].update({stamp(message): message}), qos
        )
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ
    )
    moving = [topic for topic in TOPICS if "static" not in topic and "info" not in topic]
    common: set[tuple[int, int]] = set()
    end = time.monotonic() + 60
    try:
        while not (common and all(got.values())) and time.monotonic() < end and process.poll() is None:
            executor.spin_once(timeout_sec=0.1)
            common = set.intersection(*(set(got[topic]) for topic in moving))
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=20)
    finally:
        process.kill()
        executor.shutdown()
        node.destroy_node()
        rclpy.shutdown(context=context)
    if "libegl1" in said:
        pytest.skip(f"no renderer here: {said.splitlines()[-1]}")
    assert common and all(got.values()), said
    moment = max(common)
    result = {topic: messages.get(moment) or list(messages.values())[-1] for topic, messages in got.items()}
    yield {**result, "exit code": process.returncode}


@pytest.mark.slow
def test_depth_transforms_and_labels_rebuild_the_room(filmed: dict[str, Any]) -> None:
    names = {c.class_id: c.class_name for c in filmed["/camera/ground_truth/label_info"].class_map}
    labels = array_of(filmed["/camera/ground_truth/labels"])
    depth = array_of(filmed["/camera/depth/image_rect_raw"])
    k = np.array(filmed["/camera/color/camera_info"].k).reshape(3, 3)
    rows, columns = np.mgrid[: labels.shape[0], : labels.shape[1]]
    rays = np.stack([(columns - k[0, 2]) / k[0, 0], (rows - k[1, 2]) / k[1, 1], np.ones(labels.shape)], -1)
    optical = (rays * depth[..., None]).reshape(-1, 3).astype(float)
    static, pose = filmed["/tf_static"].transforms[0], filmed["/tf"].transforms[0]
    assert (static.header.frame_id, static.child_frame_id) == ("camera_link", "camera_color_optical_frame")
    assert (pose.header.frame_id, pose.child_frame_id) == ("map", "camera_link")
    room = moved(pose, moved(static, optical))
    kinds = np.array([names.get(number, "") for number in labels.ravel()])
    floor, wall = room[kinds == "floor"], room[kinds == "wall"]
    assert len(floor) > 200 and len(wall) > 200
    assert np.quantile(np.abs(floor[:, 2]), 0.95) < 0.03, "the floor is at z = 0"
    # Walls stand on one of four planes: the farthest x or y on either side.
    planes = np.abs([room[:, 0].min(), room[:, 0].max(), room[:, 1].min(), room[:, 1].max()])
    sides = np.stack([wall[:, 0], wall[:, 0], wall[:, 1], wall[:, 1]], -1) * np.array([-1, 1, -1, 1])
    assert np.quantile(np.abs(sides - planes).min(axis=1), 0.95) < 0.05
    assert room[:, 2].min() > -0.1


@pytest.mark.slow
def test_images_carry_frame_encoding_and_size(filmed: dict[str, Any]) -> None:
    color = filmed["/camera/color/image_raw"]
    assert (color.encoding, color.height, color.width, color.step) == ("rgb8", 120, 160, 480)
    assert len(color.data) == 120 * 480 and np.frombuffer(color.data, np.uint8).std() > 10
    for topic in ("/camera/depth/image_rect_raw", "/camera/ground_truth/labels"):
        assert filmed[topic].header == color.header
    assert color.header.frame_id == "camera_color_optical_frame"
    assert filmed["/camera/depth/image_rect_raw"].encoding == "32FC1"


@pytest.mark.slow
def test_sigterm_ends_it_cleanly(filmed: dict[str, Any]) -> None:
    assert filmed["exit code"] == 0
