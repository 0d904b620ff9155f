"""The recorded kitchen as posed frames of the map."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from perception_contrast.core.camera_model import camera_from_info
from perception_contrast.core.rigid_transform import RigidTransform
from perception_contrast.images.decode import decode_message
from perception_contrast.mapping.map_frame import MapFrame
from perception_contrast.recordings.bag_messages import deserialize, nanoseconds
from perception_contrast.recordings.bags import BagSource

_COLOR, _DEPTH = "/camera/color/image_raw/compressed", "/camera/depth/image_rect_raw"
_INFO, _POSES = "/camera/depth/camera_info", "/tf"


def kitchen_frames(recording: Path) -> list[MapFrame]:
    """All frames, at the size of their depth images."""
    messages: dict[str, list[Any]] = {}
    for message in BagSource(recording).messages([_COLOR, _DEPTH, _INFO, _POSES]):
        messages.setdefault(message.topic, []).append(deserialize(message))
    camera = camera_from_info(messages[_INFO][0])
    frames = []
    for color, depth, poses in zip(messages[_COLOR], messages[_DEPTH], messages[_POSES], strict=True):
        metres = np.frombuffer(depth.data, np.uint16).reshape(depth.height, depth.width) / np.float32(1000)
        metres[metres == 0] = np.nan
        image = cv2.resize(decode_message(color), (depth.width, depth.height), interpolation=cv2.INTER_AREA)
        pose = poses.transforms[0].transform
        place, turn = pose.translation, pose.rotation
        transform = RigidTransform.of_quaternion(
            (place.x, place.y, place.z), (turn.x, turn.y, turn.z, turn.w)
        )
        stamp = nanoseconds(depth.header.stamp.sec, depth.header.stamp.nanosec)
        frames.append(MapFrame(stamp, "kitchen", camera, metres.astype(np.float32), transform, image=image))
    return frames
