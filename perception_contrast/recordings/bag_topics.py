"""Topics of the files of a recording, merged; and the channels that are not ROS 2, which are left out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from perception_contrast.recordings.bag_messages import CDR, BagMessage, BagTopic
from perception_contrast.recordings.offered_qos import offered_qos

_ROS1 = "ros1"
_SHORT_TYPE = re.compile(r"([A-Za-z]\w*)/([A-Za-z]\w*)")


def full_type(name: str) -> str:
    """A type as ROS 2 names it: some recorders write "sensor_msgs/Image" for "sensor_msgs/msg/Image"."""
    match = _SHORT_TYPE.fullmatch(name)
    return name if match is None else f"{match[1]}/msg/{match[2]}"


def is_ros2(connection: Any) -> bool:
    """Whether a connection carries messages in CDR, the serialisation of ROS 2."""
    return encoding_of(connection) == CDR


def encoding_of(connection: Any) -> str:
    """How the messages of a connection are serialised."""
    return str(getattr(connection.ext, "serialization_format", CDR)) or CDR


def merged_topics(readers: Sequence[Any]) -> dict[str, BagTopic]:
    """The ROS 2 topics of all files by name, in the order of their names."""
    topics: dict[str, BagTopic] = {}
    for reader in readers:
        for connection in filter(is_ros2, reader.connections):
            name = str(connection.topic)
            known = topics.get(name, BagTopic(name, full_type(str(connection.msgtype)), 0))
            offered = (*known.qos, *offered_qos(connection.ext.offered_qos_profiles))
            topics[name] = BagTopic(
                name,
                known.type,
                known.count + int(connection.msgcount),
                tuple(dict.fromkeys(offered)),
                known.definition or _definition(connection),
            )
    return dict(sorted(topics.items()))


def left_out_channels(readers: Sequence[Any]) -> dict[str, str]:
    """A line for each channel that is not ROS 2, by its name: its type, its encoding, how many messages."""
    counts: dict[str, int] = {}
    described: dict[str, str] = {}
    for reader in readers:
        for connection in reader.connections:
            if not is_ros2(connection):
                name = str(connection.topic)
                counts[name] = counts.get(name, 0) + int(connection.msgcount)
                described[name] = f"{connection.msgtype or 'no type'}, {encoding_of(connection)}"
    return {
        name: f"'{name}' is left out: {counts[name]} message(s) that are not ROS 2 ({what})"
        for name, what in sorted(described.items())
    }


def holds_ros1(readers: Sequence[Any]) -> bool:
    """Whether a channel carries messages in the serialisation of ROS 1."""
    return any(encoding_of(connection) == _ROS1 for reader in readers for connection in reader.connections)


def stream(reader: Any, topics: frozenset[str], start: int | None, stop: int | None) -> Iterator[BagMessage]:
    """The ROS 2 messages of one file on some topics in time order."""
    connections = [each for each in reader.connections if each.topic in topics and is_ros2(each)]
    if connections:
        for connection, stamp, data in reader.messages(connections, start=start, stop=stop):
            yield BagMessage(int(stamp), connection.topic, full_type(connection.msgtype), bytes(data))


def _definition(connection: Any) -> str:
    """What a file says of a topic's type; connections of a damaged file say nothing."""
    recorded = getattr(connection, "msgdef", None)
    return "" if recorded is None else str(recorded.data)
