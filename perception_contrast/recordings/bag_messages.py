"""A recorded message, its topic and its offered QoS; from CDR bytes to fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from rosbags.typesys import Stores, get_typestore

from perception_contrast.core.errors import FrameError

CDR = "cdr"
"""The serialisation of ROS 2."""

_TYPESTORE = get_typestore(Stores.ROS2_HUMBLE)


@dataclass(frozen=True)
class OfferedQos:
    """What a recorded publisher offered. Names as in rclpy, lower case; times in nanoseconds."""

    history: str
    depth: int
    reliability: str
    durability: str
    liveliness: str
    deadline: int
    lifespan: int
    liveliness_lease: int


@dataclass(frozen=True)
class BagTopic:
    """A topic of a recording.

    Attributes:
        name: Such as "/camera/image_raw".
        type: Such as "sensor_msgs/msg/Image".
        count: How many messages it has.
        qos: What each recorded publisher offered; empty if it was not recorded.
        definition: Of the type, as recorded; "" if it was not.
    """

    name: str
    type: str
    count: int
    qos: tuple[OfferedQos, ...] = ()
    definition: str = ""


@dataclass(frozen=True)
class ChannelExtension:
    """What rosbags keeps of a connection beside its type."""

    offered_qos_profiles: tuple[Any, ...] = ()
    serialization_format: str = CDR


@dataclass(frozen=True)
class ChannelDefinition:
    """data: the definition of the channel's type, as recorded."""

    data: str = ""


@dataclass(frozen=True)
class Channel:
    """A topic of one storage file, of any encoding; the same attributes as a connection of rosbags."""

    id: int
    topic: str
    msgtype: str
    msgcount: int = 0
    msgdef: ChannelDefinition = ChannelDefinition()
    ext: ChannelExtension = ChannelExtension()


class BagMessage(NamedTuple):
    """One recorded message. stamp: nanoseconds, when it was received. data: CDR with its header."""

    stamp: int
    topic: str
    type: str
    data: bytes


def nanoseconds(seconds: int, rest: int) -> int:
    """A stamp's two parts as one number of nanoseconds."""
    return int(seconds) * 1_000_000_000 + int(rest)


LAST_STAMP = nanoseconds(2**31 - 1, 999_999_999)
"""The last nanosecond that a ROS time can state."""


def ros_stamp(stamp: int) -> int:
    """A recorded time as a ROS time can state it: some recorders write any 64 bits."""
    return min(max(int(stamp), 0), LAST_STAMP)


def camera_info_topic(image_topic: str) -> str:
    """The CameraInfo beside an image topic, as image_transport's drivers name it."""
    return f"{_untransported(image_topic).rpartition('/')[0]}/camera_info"


def is_rectified(image_topic: str) -> bool:
    """Whether an image topic's name says that its images are rectified."""
    return "rect" in _untransported(image_topic).rpartition("/")[2]


def _untransported(image_topic: str) -> str:
    return image_topic.removesuffix("/compressed").removesuffix("/compressedDepth")


def deserialize(message: BagMessage, types: Any = _TYPESTORE) -> Any:
    """The message's fields. Images and CameraInfo are the same in every ROS 2 distribution since Humble.

    types: of rosbags, for more than the common interfaces. Raises FrameError "bad_message".
    """
    if not message.data:
        raise FrameError("bad_message", f"a {message.type} on '{message.topic}' is empty")
    try:
        return types.deserialize_cdr(message.data, message.type)
    except Exception as error:
        raise FrameError(
            "bad_message", f"a {message.type} on '{message.topic}' cannot be deserialised: {error}"
        ) from error
