"""Recordings that tests write: a camera with depth, pose, texts and labels, in every kind of storage."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import yaml
from mcap.writer import CompressionType
from mcap.writer import Writer as McapWriter
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

SECOND = 10**9
START = 1_700_000_000 * SECOND
IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
COLOR, DEPTH = "/cam/color/image_raw/compressed", "/cam/depth/image_raw"
OPTICAL = "cam_optical_frame"

TYPES = get_typestore(Stores.ROS2_JAZZY)
VISION = {
    "Point2D": "float64 x\nfloat64 y",
    "Pose2D": "vision_msgs/Point2D position\nfloat64 theta",
    "BoundingBox2D": "vision_msgs/Pose2D center\nfloat64 size_x\nfloat64 size_y",
    "ObjectHypothesis": "string class_id\nfloat64 score",
    "ObjectHypothesisWithPose": "vision_msgs/ObjectHypothesis hypothesis\n"
    "geometry_msgs/PoseWithCovariance pose",
    "Detection2D": "std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\n"
    "vision_msgs/BoundingBox2D bbox\nstring id",
    "Detection2DArray": "std_msgs/Header header\nvision_msgs/Detection2D[] detections",
}
for _name, _text in VISION.items():
    TYPES.register(get_types_from_msg(_text, f"vision_msgs/msg/{_name}"))


class Message(NamedTuple):
    topic: str
    type: str
    stamp: int
    data: bytes


def packed(topic: str, received: int, type: str, **fields: Any) -> Message:
    message = TYPES.types[type](**fields)
    return Message(topic, type, received, bytes(TYPES.serialize_cdr(message, type)))


def header(stamp: int, frame_id: str = OPTICAL) -> Any:
    time = TYPES.types["builtin_interfaces/msg/Time"](sec=stamp // SECOND, nanosec=stamp % SECOND)
    return TYPES.types["std_msgs/msg/Header"](stamp=time, frame_id=frame_id)


def image(number: int, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    """A textured image of its own for each number: smooth shapes and fine grain."""
    rng = np.random.default_rng(number)
    coarse = cv2.resize(rng.integers(30, 226, (5, 6, 3), np.uint8), size[::-1], interpolation=cv2.INTER_CUBIC)
    grain = rng.integers(-20, 21, (*size, 1))
    return np.clip(coarse.astype(int) + grain, 0, 255).astype(np.uint8)


def jpeg(image: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])[1])


def color(stamp: int, data: bytes, topic: str = COLOR, format: str = "jpeg") -> Message:
    array = np.frombuffer(data, np.uint8)
    return packed(topic, stamp + 5_000_000, COMPRESSED, header=header(stamp), format=format, data=array)


def raw(stamp: int, image: np.ndarray, topic: str, encoding: str) -> Message:
    return packed(
        topic,
        stamp + 6_000_000,
        IMAGE,
        header=header(stamp),
        height=image.shape[0],
        width=image.shape[1],
        encoding=encoding,
        is_bigendian=0,
        step=image.strides[0],
        data=np.frombuffer(image.tobytes(), np.uint8),
    )


def transform(stamp: int, parent: str, child: str, move: Any, turn: Any, topic: str = "/tf") -> Message:
    types = TYPES.types
    one = types["geometry_msgs/msg/TransformStamped"](
        header=header(stamp, parent),
        child_frame_id=child,
        transform=types["geometry_msgs/msg/Transform"](
            translation=types["geometry_msgs/msg/Vector3"](*map(float, move)),
            rotation=types["geometry_msgs/msg/Quaternion"](*map(float, turn)),
        ),
    )
    # Localisation is late, as it is on robots.
    return packed(topic, stamp + 200_000_000, "tf2_msgs/msg/TFMessage", transforms=[one])


def camera_info(stamp: int, focal: float, size: tuple[int, int], topic: str) -> Message:
    k = np.array([focal, 0, size[1] / 2, 0, focal, size[0] / 2, 0, 0, 1.0])
    roi = TYPES.types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
    return packed(
        topic,
        stamp,
        "sensor_msgs/msg/CameraInfo",
        header=header(stamp),
        height=size[0],
        width=size[1],
        distortion_model="plumb_bob",
        d=np.zeros(5),
        k=k,
        r=np.eye(3).ravel(),
        p=np.zeros(12),
        binning_x=0,
        binning_y=0,
        roi=roi,
    )


def text(stamp: int, words: str, topic: str = "/narration") -> Message:
    return packed(topic, stamp, "std_msgs/msg/String", data=words)


def detections(
    stamp: int, boxes: Iterable[tuple[str, tuple[float, float, float, float]]], topic: str = "/objects"
) -> Message:
    types = {name: TYPES.types[f"vision_msgs/msg/{name}"] for name in VISION}
    geometry = {
        name: TYPES.types[f"geometry_msgs/msg/{name}"]
        for name in ("PoseWithCovariance", "Pose", "Point", "Quaternion")
    }
    nowhere = geometry["PoseWithCovariance"](
        geometry["Pose"](geometry["Point"](0.0, 0.0, 0.0), geometry["Quaternion"](0.0, 0.0, 0.0, 1.0)),
        np.zeros(36),
    )
    found = [
        types["Detection2D"](
            header=header(stamp),
            results=[types["ObjectHypothesisWithPose"](types["ObjectHypothesis"](label, 0.9), nowhere)],
            bbox=types["BoundingBox2D"](
                types["Pose2D"](types["Point2D"]((x0 + x1) / 2, (y0 + y1) / 2), 0.0), x1 - x0, y1 - y0
            ),
            id="",
        )
        for label, (x0, y0, x1, y1) in boxes
    ]
    kind = "vision_msgs/msg/Detection2DArray"
    return packed(topic, stamp + 30_000_000, kind, header=header(stamp), detections=found)


def drive(count: int = 12, first: int = 0, period: int = SECOND) -> list[Message]:
    """A second a frame: images, depth of (number + 1) decimetres, and a base that goes 0.5 m a frame in x.

    The camera stands 0.2 m above the base and looks along its x axis.
    """
    messages = [
        transform(START, "base_link", OPTICAL, (0, 0, 0.2), (-0.5, 0.5, -0.5, 0.5), "/tf_static"),
        camera_info(START, 50.0, (48, 64), "/cam/color/camera_info"),
        camera_info(START, 25.0, (24, 32), "/cam/depth/camera_info"),
    ]
    for number in range(first, first + count):
        stamp = START + number * period
        depth = np.full((24, 32), 100 * (number + 1), np.uint16)
        depth[0, 0] = 0
        messages += [
            color(stamp, jpeg(image(number))),
            raw(stamp + 1_000_000, depth, DEPTH, "16UC1"),
            transform(stamp, "map", "base_link", (0.5 * number, 0, 0), (0, 0, 0, 1)),
        ]
    return sorted(messages, key=lambda one: one.stamp)


def write(
    path: Path,
    messages: Iterable[Message],
    storage: StoragePlugin = StoragePlugin.MCAP,
    compressed: CompressionMode | None = None,
) -> Path:
    """A rosbag2 folder with metadata.yaml."""
    writer = Writer(path, version=8, storage_plugin=storage)
    if compressed is not None:
        writer.set_compression(compressed, CompressionFormat.ZSTD)
    with writer:
        known: dict[str, Any] = {}
        for one in messages:
            if one.topic not in known:
                known[one.topic] = writer.add_connection(one.topic, one.type, typestore=TYPES)
            writer.write(known[one.topic], one.stamp, one.data)
    return path


def write_split(path: Path, messages: list[Message], storage: StoragePlugin = StoragePlugin.MCAP) -> Path:
    """A folder of two storage files under one metadata.yaml, as `ros2 bag record -b` leaves it."""
    middle = len(messages) // 2
    parts = [messages[:middle], messages[middle:]]
    path.mkdir()
    suffix = ".mcap" if storage is StoragePlugin.MCAP else ".db3"
    metadata: dict[str, Any] = {}
    names = []
    for number, part in enumerate(parts):
        folder = write(path.parent / f"{path.name}_part{number}", part, storage)
        names.append(f"{path.name}_{number}{suffix}")
        next(folder.glob(f"*{suffix}")).rename(path / names[-1])
        metadata = yaml.safe_load((folder / "metadata.yaml").read_text())
    metadata["rosbag2_bagfile_information"]["relative_file_paths"] = names
    (path / "metadata.yaml").write_text(yaml.safe_dump(metadata))
    return path


def mcap_bytes(
    messages: Iterable[Message],
    *,
    chunk: int = 8000,
    compression: CompressionType = CompressionType.ZSTD,
    chunked: bool = True,
) -> bytes:
    """An .mcap by the reference library, in small chunks."""
    file = io.BytesIO()
    writer = McapWriter(file, chunk_size=chunk, compression=compression, use_chunking=chunked)
    writer.start(profile="ros2", library="test")
    channels: dict[str, int] = {}
    for number, one in enumerate(messages):
        if one.topic not in channels:
            schema = writer.register_schema(one.type, "ros2msg", b"")
            channels[one.topic] = writer.register_channel(one.topic, "cdr", schema)
        writer.add_message(channels[one.topic], one.stamp, one.data, one.stamp, number)
    writer.finish()
    return file.getvalue()
