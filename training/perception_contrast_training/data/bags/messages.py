"""Types of messages that an extraction reads, and what it takes from them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from perception_contrast.core.errors import FrameError
from perception_contrast.recordings.bag_messages import BagMessage, deserialize, nanoseconds

TF = "tf2_msgs/msg/TFMessage"
ODOMETRY = "nav_msgs/msg/Odometry"
STRING = "std_msgs/msg/String"
DETECTIONS = "vision_msgs/msg/Detection2DArray"
TEXT_TYPES = (STRING, DETECTIONS)

# vision_msgs 4, of Humble and later: not every recording carries its definitions.
_VISION = {
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


@dataclass(frozen=True)
class LabelledBox:
    """label: the class of the best hypothesis. box: (x_min, y_min, x_max, y_max) in pixels."""

    label: str
    score: float
    box: tuple[float, float, float, float]


@cache
def typestore() -> Any:
    """The common interfaces and vision_msgs, as rosbags reads them."""
    store = get_typestore(Stores.ROS2_HUMBLE)
    for name, definition in _VISION.items():
        store.register(get_types_from_msg(definition, f"vision_msgs/msg/{name}"))
    return store


def fields_of(message: BagMessage) -> Any:
    """The message's fields. Raises FrameError "bad_message"."""
    if not message.data:
        raise FrameError("bad_message", f"a message on '{message.topic}' could not be unpacked")
    return deserialize(message, typestore())


def stamp_of(fields: Any, received: int) -> int:
    """The header's stamp in nanoseconds, or when it was received if that was left at zero."""
    return nanoseconds(fields.header.stamp.sec, fields.header.stamp.nanosec) or received


def boxes_of(fields: Any) -> tuple[LabelledBox, ...]:
    """The boxes of a Detection2DArray with a hypothesis."""
    found = []
    for one in fields.detections:
        if not one.results:
            continue
        best = max(one.results, key=lambda result: result.hypothesis.score).hypothesis
        centre, half_x, half_y = one.bbox.center.position, one.bbox.size_x / 2, one.bbox.size_y / 2
        box = (centre.x - half_x, centre.y - half_y, centre.x + half_x, centre.y + half_y)
        found.append(LabelledBox(str(best.class_id), float(best.score), box))
    return tuple(found)
