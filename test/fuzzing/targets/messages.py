"""Recorded messages: CDR through the readers that know no ROS."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from random import Random
from typing import Any

import numpy as np
import recordings

from fuzzing.fields import mutated_fields
from fuzzing.mutations import mutated
from fuzzing.target import Mutation, Target
from fuzzing.targets.images import require_documented
from perception_contrast.core.camera_model import project, unproject
from perception_contrast.core.errors import FrameError
from perception_contrast.images.decode import decode_depth_message, decode_message
from perception_contrast.recordings.bag_cameras import camera_at, usable_camera
from perception_contrast.recordings.bag_messages import BagMessage, deserialize
from perception_contrast.recordings.image_topics import COLOR, DEPTH, kind_of_images
from perception_contrast.recordings.message_types import message_types
from perception_contrast_training.data.bags.messages import ODOMETRY, TF, boxes_of, fields_of, stamp_of
from perception_contrast_training.data.bags.transforms import TransformBuffer

IMAGE, COMPRESSED, INFO = (
    "sensor_msgs/msg/Image",
    "sensor_msgs/msg/CompressedImage",
    "sensor_msgs/msg/CameraInfo",
)
DETECTIONS = "vision_msgs/msg/Detection2DArray"
ENCODINGS = (
    "rgb8", "bgr8", "mono8", "mono16", "rgba8", "bgra16", "bayer_rggb8", "bayer_gbrg16", "16UC1", "32FC1",
    "8UC3",
    "yuv422", "yuv422_yuy2", "nv12", "nv21", "nv24", "16UC3", "64FC1", "RGB8 ",
)  # fmt: skip


def labelled(kind: str, cdr: bytes) -> bytes:
    """An input: the type's name, a line end, and CDR."""
    return kind.encode() + b"\n" + cdr


def split(data: bytes) -> tuple[str, bytes]:
    """The type's name and CDR of an input."""
    name, _, cdr = data.partition(b"\n")
    return name.decode("utf-8", "replace"), cdr


def mutated_message(rng: Random, data: bytes, store: Any = None) -> bytes:
    """Fields changed within their types; the name of the type stays."""
    kind, cdr = split(data)
    try:
        return labelled(kind, mutated_fields(rng, store or message_types(), kind, cdr))
    except Exception:  # whatever rosbags raises where an earlier mutation broke the CDR
        return labelled(kind, mutated(rng, cdr, b""))


def mutated_cdr(rng: Random, data: bytes) -> bytes:
    """Bytes of the CDR changed; the name of the type stays."""
    kind, cdr = split(data)
    return labelled(kind, mutated(rng, cdr, cdr))


def image_seeds() -> list[bytes]:
    """Images of every encoding, with the sizes that their fields say."""
    found = []
    for encoding in ENCODINGS:
        raw = recordings.raw(
            recordings.START, np.arange(8 * 96, dtype=np.uint8).reshape(8, 96), "/image", encoding
        )
        fields = message_types().deserialize_cdr(raw.data, IMAGE)
        fields.width = 8
        found.append(labelled(IMAGE, bytes(message_types().serialize_cdr(fields, IMAGE))))
    return found


class Messages(Target):
    allowed = (FrameError,)

    @property
    def mutations(self) -> Sequence[Mutation]:
        return (mutated_message, mutated_cdr, partial(mutated_message))

    def seeds(self) -> list[bytes]:
        found = image_seeds()
        found += [labelled(one.type, one.data) for one in recordings.drive(1)]
        found.append(
            labelled(COMPRESSED, recordings.color(0, recordings.jpeg(recordings.image(1, (12, 16)))).data)
        )
        one = recordings.detections(0, [("mug", (1, 2, 3, 4)), ("a cup", (5, 6, 70, 80))])
        found += [
            labelled(one.type, one.data),
            labelled("std_msgs/msg/String", recordings.text(0, "a red mug").data),
        ]
        return [*found, labelled(ODOMETRY, _odometry())]

    def run(self, data: bytes) -> None:
        kind, cdr = split(data)
        message = BagMessage(1, "/camera/depth/image", kind, cdr)
        try:
            fields = fields_of(message)
            self._read(kind, fields, message)
        except FrameError as error:
            if error.reason != "bad_message":
                require_documented(error)
            raise

    def _read(self, kind: str, fields: Any, message: BagMessage) -> None:
        if kind in (IMAGE, COMPRESSED):
            stamp_of(fields, 1)
            found = kind_of_images([message], deserialize, message.topic)
            read = decode_depth_message if found == DEPTH else decode_message
            other = decode_message if found == DEPTH else decode_depth_message
            _quiet(partial(other, fields))
            image = read(fields)
            assert found in (COLOR, DEPTH), f"an image that can be read is said to be: {found}"
            assert image.dtype == (np.float32 if found == DEPTH else np.uint8)
        elif kind == INFO:
            _camera(fields)
        elif kind in (TF, ODOMETRY):
            _transforms(kind, fields)
        elif kind == DETECTIONS:
            boxes_of(fields)


def _quiet(read: Any) -> None:
    try:
        read()
    except FrameError as error:
        require_documented(error)


def _camera(fields: Any) -> None:
    for rectified in (False, True):
        camera = usable_camera(fields, rectified=rectified)
        if camera is not None:
            scaled = camera_at(camera, (48, 64))
            assert (scaled.height, scaled.width) == (48, 64)
            project(scaled, np.array([[0.1, 0.2, 1.0]]))
            unproject(scaled, np.array([[3.0, 4.0]]))


def _transforms(kind: str, fields: Any) -> None:
    buffer = TransformBuffer()
    if kind == TF:
        buffer.add(fields)
        buffer.add(fields, static=True)
        frames: Iterable[str] = [one.child_frame_id for one in fields.transforms][:5]
    else:
        buffer.add_odometry(fields)
        frames = [fields.child_frame_id]
    for frame in frames:
        buffer.pose(frame, 1, 10**9)


def _odometry() -> bytes:
    store = message_types()
    types = store.types
    vector = types["geometry_msgs/msg/Vector3"](0.0, 0.0, 0.1)
    pose = types["geometry_msgs/msg/Pose"](
        types["geometry_msgs/msg/Point"](1.0, 2.0, 0.0),
        types["geometry_msgs/msg/Quaternion"](0.0, 0.0, 0.0, 1.0),
    )
    message = types[ODOMETRY](
        header=recordings.header(recordings.START, "odom"),
        child_frame_id="base_link",
        pose=types["geometry_msgs/msg/PoseWithCovariance"](pose, np.zeros(36)),
        twist=types["geometry_msgs/msg/TwistWithCovariance"](
            types["geometry_msgs/msg/Twist"](vector, vector), np.zeros(36)
        ),
    )
    return bytes(store.serialize_cdr(message, ODOMETRY))
