"""MCAP files as recorders other than rosbag2 write them."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mcap.writer import Writer
from recordings import Message


@dataclass(frozen=True)
class OddChannel:
    """A channel of any encoding and its messages; schema "" for none."""

    topic: str
    encoding: str
    schema: str
    schema_encoding: str
    definition: bytes
    messages: tuple[bytes, ...]


def odd_mcap(
    messages: Iterable[Message],
    channels: Iterable[OddChannel] = (),
    *,
    profile: str = "ros2",
    type_name: str = "",
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """ROS 2 messages, and channels beside them.

    type_name: in the place of the messages' own. metadata: of the ROS 2 channels.
    """
    file = io.BytesIO()
    writer = Writer(file)
    writer.start(profile=profile, library="test")
    known: dict[str, int] = {}
    last = 0
    for one in messages:
        if one.topic not in known:
            schema = writer.register_schema(type_name or one.type, "ros2msg", b"")
            known[one.topic] = writer.register_channel(one.topic, "cdr", schema, dict(metadata or {}))
        writer.add_message(known[one.topic], one.stamp, one.data, one.stamp)
        last = one.stamp
    for channel in channels:
        schema = (
            writer.register_schema(channel.schema, channel.schema_encoding, channel.definition)
            if channel.schema
            else 0
        )
        number = writer.register_channel(channel.topic, channel.encoding, schema)
        for data in channel.messages:
            writer.add_message(number, last, data, last)
    writer.finish()
    return file.getvalue()
