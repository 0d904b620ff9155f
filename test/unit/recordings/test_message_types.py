"""The message definitions that the package carries are those of interfaces/."""

from __future__ import annotations

from pathlib import Path

import pytest

from perception_contrast.recordings.message_types import message_definitions, message_types


def test_definitions_are_those_of_the_interfaces(repository: Path) -> None:
    folders = ("fallback/vision_msgs", "perception_contrast_msgs")
    files = [path for folder in folders for path in (repository / "interfaces" / folder).glob("msg/*.msg")]
    there = {f"{path.parents[1].name}/msg/{path.stem}": path.read_text("utf-8") for path in files}
    assert len(there) > 15
    assert message_definitions() == there, "run `python scripts/message_definitions.py`"


@pytest.mark.ros
def test_types_are_those_of_ros() -> None:
    from rclpy.serialization import deserialize_message
    from vision_msgs.msg import LabelInfo

    store = message_types()
    types = store.types
    header = types["std_msgs/msg/Header"](types["builtin_interfaces/msg/Time"](3, 4), "camera")
    classes = [
        types["vision_msgs/msg/VisionClass"](1, "mug"),
        types["vision_msgs/msg/VisionClass"](2, "sofa"),
    ]
    message = types["vision_msgs/msg/LabelInfo"](header, classes, 0.5)
    data = bytes(store.serialize_cdr(message, "vision_msgs/msg/LabelInfo"))
    read = deserialize_message(data, LabelInfo)
    assert (read.header.stamp.sec, read.header.stamp.nanosec, read.header.frame_id) == (3, 4, "camera")
    assert [(one.class_id, one.class_name) for one in read.class_map] == [(1, "mug"), (2, "sofa")]
