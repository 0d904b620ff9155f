"""Topics of the files of a recording, merged; and the channels that are not ROS 2, which are left out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from perception_contrast.recordings.bag_messages import CDR, BagMessage, BagTopic, ros_stamp
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
    """The ROS 2 topics of all files by name, in the order of their names.

    A topic that carries several types counts as one of that with the most messages.
    """
    topics: dict[str, BagTopic] = {}
    types = _types(readers)
    for reader in readers:
        for connection in filter(is_ros2, reader.connections):
            name, kind = str(connection.topic), full_type(str(connection.msgtype))
            if kind != types[name]:
                continue
            known = topics.get(name, BagTopic(name, kind, 0))
            offered = (*known.qos, *offered_qos(connection.ext.offered_qos_profiles))
            topics[name] = BagTopic(
                name,
                known.type,
                known.count + int(connection.msgcount),
                tuple(dict.fromkeys(offered)),
                known.definition or _definition(connection),
            )
    return dict(sorted(topics.items()))


def _types(readers: Sequence[Any]) -> dict[str, str]:
    """Topic to the type of most of its ROS 2 messages; the first one where two have as many."""
    counts: dict[str, Counter[str]] = {}
    for reader in readers:
        for connection in filter(is_ros2, reader.connections):
            kinds = counts.setdefault(str(connection.topic), Counter())
            kinds[full_type(str(connection.msgtype))] += int(connection.msgcount)
    return {name: kinds.most_common(1)[0][0] for name, kinds in counts.items()}


def left_out_channels(readers: Sequence[Any], topics: Mapping[str, BagTopic]) -> dict[tuple[str, str], str]:
    """A line for each channel that is not ROS 2, or of another type than its topic, by topic and kind."""
    counts: Counter[tuple[str, str]] = Counter()
    for reader in readers:
        for connection in reader.connections:
            name, kind = str(connection.topic), connection.msgtype or "no type"
            if not is_ros2(connection):
                counts[name, f"that are not ROS 2 ({kind}, {encoding_of(connection)})"] += connection.msgcount
            elif full_type(kind) != topics[name].type and connection.msgcount:
                counts[name, f"of {kind}, for most are of {topics[name].type}"] += connection.msgcount
    return {
        (name, what): f"'{name}' is left out: {count} message(s) {what}"
        for (name, what), count in sorted(counts.items())
    }


def holds_ros1(readers: Sequence[Any]) -> bool:
    """Whether a channel carries messages in the serialisation of ROS 1."""
    return any(encoding_of(connection) == _ROS1 for reader in readers for connection in reader.connections)


def stream(
    reader: Any, types: Mapping[str, str], start: int | None, stop: int | None
) -> Iterator[BagMessage]:
    """The ROS 2 messages of one file on some topics in time order. types: of those topics."""
    connections = [
        each
        for each in reader.connections
        if is_ros2(each) and types.get(each.topic) == full_type(str(each.msgtype))
    ]
    if connections:
        for connection, stamp, data in reader.messages(connections, start=start, stop=stop):
            yield BagMessage(ros_stamp(stamp), connection.topic, full_type(connection.msgtype), bytes(data))


def _definition(connection: Any) -> str:
    """What a file says of a topic's type; connections of a damaged file say nothing."""
    recorded = getattr(connection, "msgdef", None)
    return "" if recorded is None else str(recorded.data)
