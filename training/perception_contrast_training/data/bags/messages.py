"""Types of messages that an extraction reads, and what it takes from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from perception_contrast.core.errors import FrameError
from perception_contrast.recordings.bag_messages import BagMessage, deserialize, nanoseconds
from perception_contrast.recordings.message_types import message_types

TF = "tf2_msgs/msg/TFMessage"
ODOMETRY = "nav_msgs/msg/Odometry"
STRING = "std_msgs/msg/String"
DETECTIONS = "vision_msgs/msg/Detection2DArray"
TEXT_TYPES = (STRING, DETECTIONS)


@dataclass(frozen=True)
class LabelledBox:
    """label: the class of the best hypothesis. box: (x_min, y_min, x_max, y_max) in pixels."""

    label: str
    score: float
    box: tuple[float, float, float, float]


def fields_of(message: BagMessage) -> Any:
    """The message's fields. Raises FrameError "bad_message"."""
    if not message.data:
        raise FrameError("bad_message", f"a message on '{message.topic}' could not be unpacked")
    return deserialize(message, message_types())


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
