"""A .db3 file read by its tables, whatever its topics carry: as rosbags reads it, but without its refusals.

rosbags refuses a whole file for a QoS text that it cannot parse, and for "?", "#" or "%" in its path.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import apsw

from perception_contrast.core.errors import PerceptionError
from perception_contrast.recordings.bag_messages import CDR, Channel, ChannelDefinition, ChannelExtension
from perception_contrast.recordings.offered_qos import recorded_profiles

# One pass over the rows and none over their data, which lie on pages of their own where they are large.
_COUNTS = "SELECT topic_id, count(*), min(timestamp), max(timestamp) FROM messages GROUP BY topic_id"


class IndexedSqlite:
    """A .db3 file that is whole; reads as a reader of rosbags does.

    Args:
        path: The file. Raises PerceptionError if its tables cannot be read.

    Attributes:
        connections: Its topics, of any encoding.
        message_count: Messages on all topics.
        start_time: Nanoseconds of the first message.
        end_time: Nanoseconds behind the last message.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._database = apsw.Connection(
                f"{path.resolve().as_uri()}?immutable=1",
                flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI,
            )
        except apsw.Error as error:
            raise PerceptionError(f"'{path}' cannot be opened as a database: {error}") from error
        try:
            self._read_tables()
        except (apsw.Error, ValueError, TypeError) as error:
            self._database.close()
            raise PerceptionError(f"'{path}' has no tables that can be read: {error}") from error

    def _read_tables(self) -> None:
        counted = {row[0]: row[1:] for row in self._database.execute(_COUNTS)}
        definitions = {
            str(row["topic_type"]): str(row["encoded_message_definition"])
            for row in self._rows("message_definitions")
        }
        self.connections = [
            Channel(
                int(row["id"]),
                str(row["name"]),
                str(row["type"]),
                int(counted.get(row["id"], (0,))[0]),
                ChannelDefinition(definitions.get(str(row["type"]), "")),
                ChannelExtension(
                    recorded_profiles(row.get("offered_qos_profiles", "")),
                    str(row.get("serialization_format") or CDR),
                ),
            )
            for row in self._rows("topics")
        ]
        self.message_count = sum(int(row[0]) for row in counted.values())
        self.start_time = min((int(row[1]) for row in counted.values()), default=0)
        self.end_time = max((int(row[2]) + 1 for row in counted.values()), default=0)

    def _rows(self, table: str) -> list[dict[str, Any]]:
        """All rows of a table by the names of their columns, which differ between versions; [] without it."""
        names = [row[1] for row in self._database.execute(f"PRAGMA table_info({table})")]
        if not names:
            return []
        return [
            dict(zip(names, row, strict=True)) for row in self._database.execute(f"SELECT * FROM {table}")
        ]

    def __enter__(self) -> IndexedSqlite:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()

    def messages(
        self, connections: Collection[Channel], start: int | None = None, stop: int | None = None
    ) -> Iterator[tuple[Channel, int, bytes]]:
        """(topic, stamp in nanoseconds, data) in time order."""
        known = {each.id: each for each in connections}
        places = ", ".join("?" * len(known))
        query = f"SELECT topic_id, timestamp, data FROM messages WHERE topic_id IN ({places})"
        values: list[int] = list(known)
        for value, comparison in ((start, ">="), (stop, "<")):
            if value is not None:
                query += f" AND timestamp {comparison} ?"
                values.append(value)
        for number, stamp, data in self._database.execute(f"{query} ORDER BY timestamp", values):
            yield known[number], int(stamp), data
