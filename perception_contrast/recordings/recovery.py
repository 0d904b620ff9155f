"""What is still whole in a damaged storage file, read as a reader of rosbags reads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path

from perception_contrast.recordings.bag_messages import CDR, Channel, ChannelExtension

_END_OF_TIME = 1 << 63


class RecoveredFile(ABC):
    """A storage file whose index, tail or parts are gone; reads as a reader of rosbags does.

    lost: what is missing, for people. start_time, end_time: nanoseconds, the end exclusive.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lost: list[str] = []
        self.connections: list[Channel] = []
        self.message_count, self.start_time, self.end_time = 0, 0, 0

    def settle(
        self,
        topics: dict[int, tuple[str, str]],
        counts: Counter[int],
        times: list[int],
        encodings: dict[int, str] | None = None,
    ) -> None:
        """Takes topics, counts and times of what was found. encodings: of topics that are not CDR."""
        known = encodings or {}
        self.connections = [
            Channel(
                number,
                name,
                kind,
                counts[number],
                ext=ChannelExtension(serialization_format=known.get(number, CDR)),
            )
            for number, (name, kind) in sorted(topics.items())
        ]
        self.message_count = sum(counts[number] for number in topics)
        if times:
            self.start_time, self.end_time = min(times), max(times) + 1

    def messages(
        self, connections: Collection[Channel], start: int | None = None, stop: int | None = None
    ) -> Iterator[tuple[Channel, int, bytes]]:
        """(topic, stamp in nanoseconds, CDR) in time order."""
        known = {each.id: each for each in connections}
        first = -1 if start is None else start
        last = _END_OF_TIME if stop is None else stop
        for stamp, number, data in self.ordered(frozenset(known)):
            if first <= stamp < last:
                yield known[number], stamp, data

    @abstractmethod
    def ordered(self, wanted: frozenset[int]) -> Iterator[tuple[int, int, bytes]]:
        """Of the topics that are wanted by number: (stamp, number, CDR) in time order."""
