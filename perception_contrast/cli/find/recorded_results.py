"""Results as serialised ROS messages where no ROS is: what `perception_node` would have published."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from perception_contrast.core.arrays import LabelMask
from perception_contrast.core.vocabulary import UNLABELLED, Vocabulary
from perception_contrast.recordings.message_types import message_types

DETECTIONS, MASKS = "vision_msgs/msg/Detection2DArray", "sensor_msgs/msg/Image"
LABEL_INFO, VISION_INFO = "vision_msgs/msg/LabelInfo", "vision_msgs/msg/VisionInfo"
UNLABELLED_NAME = "unlabelled"


@dataclass(frozen=True)
class RecordedHeader:
    """A std_msgs/Header as it was recorded."""

    sec: int
    nanosec: int
    frame_id: str


def detections_data(found: Iterable[Mapping[str, Any]], header: RecordedHeader) -> bytes:
    """A serialised Detection2DArray.

    Args:
        found: Detections as of ``DetectorResult.to_dict``. Pixel centres lie at integers: a box over pixel
            columns 10 to 19 has its centre at x = 14.5 and size_x = 10.
        header: Of the image.
    """
    detections = [_detection(one, header) for one in found]
    return _serialised(_new(DETECTIONS, header=_header(header), detections=detections), DETECTIONS)


def masks_data(label_map: LabelMask, header: RecordedHeader) -> bytes:
    """A serialised mono16 Image of label ids (H, W)."""
    height, width = label_map.shape
    data = np.ascontiguousarray(label_map, "<u2").view(np.uint8).reshape(-1)
    message = _new(
        MASKS,
        header=_header(header),
        height=height,
        width=width,
        encoding="mono16",
        is_bigendian=0,
        step=2 * width,
        data=data,
    )
    return _serialised(message, MASKS)


def label_info_data(vocabulary: Vocabulary, header: RecordedHeader, threshold: float) -> bytes:
    """A serialised LabelInfo: which id of the masks is which label."""
    names = [(vocabulary.ids[label], label) for label in vocabulary.labels]
    names.append((UNLABELLED, UNLABELLED_NAME))
    classes = [
        _new("vision_msgs/msg/VisionClass", class_id=number, class_name=name) for number, name in names
    ]
    message = _new(LABEL_INFO, header=_header(header), class_map=classes, threshold=threshold)
    return _serialised(message, LABEL_INFO)


def vision_info_data(model: str, space: str, version: int, header: RecordedHeader) -> bytes:
    """A serialised VisionInfo: which model made the results."""
    message = _new(
        VISION_INFO,
        header=_header(header),
        method=model,
        database_location=f"space:{space}",
        database_version=version,
    )
    return _serialised(message, VISION_INFO)


def _detection(found: Mapping[str, Any], header: RecordedHeader) -> Any:
    x0, y0, x1, y1 = found["box"]
    position = _new("vision_msgs/msg/Point2D", x=(x0 + x1 - 1) / 2, y=(y0 + y1 - 1) / 2)
    center = _new("vision_msgs/msg/Pose2D", position=position, theta=0.0)
    box = _new("vision_msgs/msg/BoundingBox2D", center=center, size_x=float(x1 - x0), size_y=float(y1 - y0))
    hypothesis = _new("vision_msgs/msg/ObjectHypothesis", class_id=found["label"], score=found["score"])
    result = _new("vision_msgs/msg/ObjectHypothesisWithPose", hypothesis=hypothesis, pose=_no_pose())
    return _new(
        "vision_msgs/msg/Detection2D",
        header=_header(header),
        results=[result],
        bbox=box,
        id=found["track_id"],
    )


def _no_pose() -> Any:
    """A PoseWithCovariance with the values of a new message."""
    pose = _new(
        "geometry_msgs/msg/Pose",
        position=_new("geometry_msgs/msg/Point", x=0.0, y=0.0, z=0.0),
        orientation=_new("geometry_msgs/msg/Quaternion", x=0.0, y=0.0, z=0.0, w=1.0),
    )
    return _new("geometry_msgs/msg/PoseWithCovariance", pose=pose, covariance=np.zeros(36))


def _header(header: RecordedHeader) -> Any:
    stamp = _new("builtin_interfaces/msg/Time", sec=header.sec, nanosec=header.nanosec)
    return _new("std_msgs/msg/Header", stamp=stamp, frame_id=header.frame_id)


def _new(kind: str, **fields: Any) -> Any:
    return message_types().types[kind](**fields)


def _serialised(message: Any, kind: str) -> bytes:
    return bytes(message_types().serialize_cdr(message, kind))
