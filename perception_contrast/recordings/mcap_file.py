"""An .mcap file read by its index, whatever its channels carry: ROS 2 messages are given, others are told.

rosbags refuses a whole file for one channel of JSON or protobuf, or for a QoS text that it cannot parse.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from perception_contrast.core.errors import PerceptionError
from perception_contrast.recordings.bag_messages import CDR, Channel, ChannelDefinition, ChannelExtension
from perception_contrast.recordings.offered_qos import recorded_profiles

_ROS2_SCHEMAS = ("ros2msg", "ros2idl", "omgidl", "")
_QOS = "offered_qos_profiles"


class IndexedMcap:
    """An .mcap file with a summary; reads as a reader of rosbags does.

    Args:
        path: The file. Raises PerceptionError if it has no summary that can be read.

    Attributes:
        connections: Its channels, of any encoding.
        message_count: Messages on all channels.
        start_time: Nanoseconds of the first message.
        end_time: Nanoseconds behind the last message.
    """

    def __init__(self, path: Path) -> None:
        from mcap.reader import SeekingReader

        self.path = path
        self._file = path.open("rb")
        try:
            self._reader = SeekingReader(self._file, validate_crcs=True)
            summary = self._reader.get_summary()
        except Exception as error:
            self._file.close()
            raise PerceptionError(f"'{path}' has no summary that can be read: {error!r}") from error
        if summary is None or summary.statistics is None:
            self._file.close()
            raise PerceptionError(f"'{path}' has no summary")
        statistics = summary.statistics
        self.connections = [
            _channel(
                one, summary.schemas.get(one.schema_id), statistics.channel_message_counts.get(one.id, 0)
            )
            for one in summary.channels.values()
        ]
        self.message_count = int(statistics.message_count)
        self.start_time = int(statistics.message_start_time)
        self.end_time = int(statistics.message_end_time) + 1 if self.message_count else 0

    def __enter__(self) -> IndexedMcap:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def messages(
        self, connections: Collection[Channel], start: int | None = None, stop: int | None = None
    ) -> Iterator[tuple[Channel, int, bytes]]:
        """(channel, log time in nanoseconds, data) in time order."""
        known = {each.id: each for each in connections}
        topics = sorted({each.topic for each in connections})
        # A reader of its own: two iterations may run at once, each with its place in the file.
        with self.path.open("rb") as file:
            from mcap.reader import SeekingReader

            reader = SeekingReader(file, validate_crcs=True)
            for _, channel, message in reader.iter_messages(topics, start, stop):
                if channel.id in known:
                    yield known[channel.id], int(message.log_time), message.data


def channel_encoding(messages: str, schema: str) -> str:
    """How a channel's messages are serialised: "cdr" only where their type is defined as ROS 2 does it.

    Args:
        messages: The channel's message encoding; some recorders leave it out.
        schema: The encoding of its schema, "" where it has none.
    """
    encoding = messages or CDR
    return schema if encoding == CDR and schema not in _ROS2_SCHEMAS else encoding


def _channel(channel: Any, schema: Any, count: int) -> Channel:
    encoding = channel_encoding(channel.message_encoding, "" if schema is None else schema.encoding)
    text = "" if schema is None else bytes(schema.data).decode("utf-8", "replace")
    profiles = recorded_profiles(channel.metadata.get(_QOS, ""))
    return Channel(
        channel.id,
        str(channel.topic),
        "" if schema is None else str(schema.name),
        count,
        ChannelDefinition(text),
        ChannelExtension(profiles, encoding),
    )


def mcap_profile(path: Path) -> str:
    """The profile that an .mcap file names in its header, such as "ros2"; "" where it names none."""
    from mcap.reader import make_reader

    try:
        with path.open("rb") as file:
            return str(make_reader(file).get_header().profile)
    except Exception:  # whatever a parser of a damaged file raises
        return ""
