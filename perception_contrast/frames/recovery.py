"""What is still whole in a damaged .mcap or .db3: files without an index, cut short, or with bad parts.

MCAP: every record states its length, so a file is walked from its beginning without the index at its end;
chunks are checked by their CRC (https://mcap.dev/spec). SQLite: rows are read one by one around pages
that are missing (https://www.sqlite.org/fileformat.html), and those in its journal are read as well.
"""

from __future__ import annotations

import heapq
import struct
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from ..errors import PerceptionError

_MCAP_MAGIC = b"\x89MCAP0\r\n"
_RECORD = struct.Struct("<BQ")
_CHUNK_TIMES = struct.Struct("<QQ")
_SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _DATA_END = 0x03, 0x04, 0x05, 0x06, 0x0F
_MOST_RECORD = 4 << 30
_LAST_ROW = 1 << 48
_ROWS = "SELECT id, topic_id, timestamp, data FROM messages"


@dataclass(frozen=True)
class _Extra:
    """In the place of the recorded QoS, which is left out here."""

    offered_qos_profiles: tuple[Any, ...] = ()


@dataclass(frozen=True)
class RecoveredConnection:
    """A topic of a damaged file; the same attributes as a connection of rosbags."""

    id: int
    topic: str
    msgtype: str
    msgcount: int = 0
    ext: _Extra = field(default_factory=_Extra)


class _Piece(NamedTuple):
    """A chunk, or a message outside of chunks. offset, length: of the record's content."""

    start: int
    offset: int
    length: int
    is_chunk: bool


class RecoveredFile:
    """A storage file whose index, tail or parts are gone; reads as a reader of rosbags does.

    lost: what is missing, for people. start_time, end_time: nanoseconds, the end exclusive.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lost: list[str] = []
        self.connections: list[RecoveredConnection] = []
        self.message_count, self.start_time, self.end_time = 0, 0, 0

    def _settle(self, topics: dict[int, tuple[str, str]], counts: Counter[int], times: list[int]) -> None:
        self.connections = [
            RecoveredConnection(number, name, kind, counts[number])
            for number, (name, kind) in sorted(topics.items())
        ]
        self.message_count = sum(counts[number] for number in topics)
        if times:
            self.start_time, self.end_time = min(times), max(times) + 1

    def messages(
        self, connections: Collection[RecoveredConnection], start: int | None = None, stop: int | None = None
    ) -> Iterator[tuple[RecoveredConnection, int, bytes]]:
        """(topic, stamp in nanoseconds, CDR) in time order."""
        known = {each.id: each for each in connections}
        first = -1 if start is None else start
        last = _LAST_ROW << 15 if stop is None else stop
        for stamp, number, data in self._ordered(frozenset(known)):
            if first <= stamp < last:
                yield known[number], stamp, data

    def _ordered(self, wanted: frozenset[int]) -> Iterator[tuple[int, int, bytes]]:
        raise NotImplementedError


class RecoveredMcap(RecoveredFile):
    """An .mcap file read without its index. Raises PerceptionError if not even its beginning is there."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._pieces: list[_Piece] = []
        self._schemas: dict[int, str] = {}
        self._topics: dict[int, tuple[str, str]] = {}
        counts: Counter[int] = Counter()
        times: list[int] = []
        with path.open("rb") as file:
            if file.read(8) != _MCAP_MAGIC:
                raise PerceptionError(f"'{path}' does not begin as an mcap file; nothing can be recovered")
            for piece in self._walk(file):
                found = list(self._of_piece(file, piece))
                if not found:
                    continue
                self._pieces.append(piece)
                counts.update(number for _, number, _ in found)
                stamps = [stamp for stamp, _, _ in found]
                times = [min([*times, *stamps]), max([*times, *stamps])]
        self._pieces.sort()
        self._settle(self._topics, counts, times)

    def _walk(self, file: Any) -> Iterator[_Piece]:
        """Chunks and messages up to the end of the data or of what is there; notes what is not."""
        size = self.path.stat().st_size
        while True:
            position = file.tell()
            head = file.read(_RECORD.size)
            code, length = _RECORD.unpack(head) if len(head) == _RECORD.size else (0, 0)
            if code == _DATA_END:
                return
            begin = position + _RECORD.size
            if not 0 < code < 0x80 or length > _MOST_RECORD or begin + length > size:
                self._lose_tail(size - position)
                return
            if code == _CHUNK and length >= _CHUNK_TIMES.size:
                yield _Piece(_CHUNK_TIMES.unpack(file.read(_CHUNK_TIMES.size))[0], begin, length, True)
            elif code == _MESSAGE and length >= 22:
                yield _Piece(struct.unpack("<HIQ", file.read(14))[2], begin, length, False)
            elif code in (_SCHEMA, _CHANNEL):
                self._learn(code, file.read(length))
            file.seek(begin + length)

    def _lose_tail(self, count: int) -> None:
        what = f"the last {count} bytes of '{self.path.name}' are cut or unreadable" if count else ""
        self.lost.append(what or f"'{self.path.name}' has no end; it was not closed, no message seems lost")

    def _learn(self, code: int, data: bytes) -> None:
        from mcap.data_stream import ReadDataStream
        from mcap.records import Channel, Schema

        try:
            if code == _SCHEMA:
                schema = Schema.read(ReadDataStream(BytesIO(data)))
                self._schemas[schema.id] = schema.name
            else:
                channel = Channel.read(ReadDataStream(BytesIO(data)))
                kind = self._schemas.get(channel.schema_id, "")
                self._topics[channel.id] = (channel.topic, kind)
        except Exception as error:
            self.lost.append(f"a topic's description in '{self.path.name}' is damaged: {error}")

    def _of_piece(self, file: Any, piece: _Piece) -> Iterator[tuple[int, int, bytes]]:
        """(stamp, channel, data) of whole messages; notes a damaged chunk and gives nothing of it."""
        place = file.tell()
        file.seek(piece.offset)
        data = file.read(piece.length)
        file.seek(place)
        if not piece.is_chunk:
            number, _, stamp, _ = struct.unpack_from("<HIQQ", data)
            yield stamp, number, data[22:]
            return
        try:
            yield from self._unchunked(data)
        except Exception as error:
            note = f"a chunk of {piece.length} bytes at byte {piece.offset} of '{self.path.name}' is damaged"
            if not any(known.startswith(note) for known in self.lost):
                self.lost.append(f"{note}: {str(error) or type(error).__name__}")

    def _unchunked(self, data: bytes) -> list[tuple[int, int, bytes]]:
        from mcap.data_stream import ReadDataStream
        from mcap.records import Channel, Chunk, Message, Schema
        from mcap.stream_reader import breakup_chunk

        chunk = Chunk.read(ReadDataStream(BytesIO(data)))
        found = []
        for record in breakup_chunk(chunk, validate_crc=True):
            if isinstance(record, Schema):
                self._schemas[record.id] = record.name
            elif isinstance(record, Channel):
                self._topics[record.id] = (record.topic, self._schemas.get(record.schema_id, ""))
            elif isinstance(record, Message):
                found.append((record.log_time, record.channel_id, record.data))
        return sorted(found, key=lambda message: message[0])

    def _ordered(self, wanted: frozenset[int]) -> Iterator[tuple[int, int, bytes]]:
        """By time, then by place in the file; only chunks that overlap in time are held at once."""
        waiting: list[tuple[int, int, int, int, bytes]] = []
        with self.path.open("rb") as file:
            for piece in self._pieces:
                while waiting and waiting[0][0] < piece.start:
                    stamp, _, _, number, data = heapq.heappop(waiting)
                    yield stamp, number, data
                for order, (stamp, number, data) in enumerate(self._of_piece(file, piece)):
                    if number in wanted:
                        heapq.heappush(waiting, (stamp, piece.offset, order, number, data))
        while waiting:
            stamp, _, _, number, data = heapq.heappop(waiting)
            yield stamp, number, data


class RecoveredSqlite(RecoveredFile):
    """A .db3 file of which pages are missing. Raises PerceptionError if its list of topics is."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        database = self._open()
        try:
            topics = {number: (name, kind) for number, name, kind in self._topics(database)}
            self._rows: list[tuple[int, int, int]] = []
            gaps, row = 0, 0
            while True:
                try:
                    for read, number, stamp, _ in database.execute(
                        f"{_ROWS} WHERE id > ? ORDER BY id", (row,)
                    ):
                        row = read
                        self._rows.append((stamp, row, number))
                    break
                except apsw.Error:
                    behind = self._behind(database, row)
                    gaps += 1
                    if behind is None:
                        break
                    self._rows.append(behind)
                    row = behind[1]
        finally:
            database.close()
        self._rows.sort()
        if gaps:
            last = f" (the last row read is {row})"
            self.lost.append(f"'{path.name}' lacks pages at {gaps} place(s); their messages are lost{last}")
        counts = Counter(number for _, _, number in self._rows)
        self._settle(topics, counts, [self._rows[0][0], self._rows[-1][0]] if self._rows else [])

    def _open(self) -> apsw.Connection:
        # A journal that was never merged is read too, but only if SQLite may look beside the file.
        journal = has_journal(self.path)
        options = "mode=ro" if journal else "mode=ro&immutable=1"
        try:
            database = apsw.Connection(
                f"{self.path.resolve().as_uri()}?{options}",
                flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI,
                vfs=None if journal else _whole_pages().vfs_name,
            )
            # Without this, SQLite refuses a file that is shorter than its header says.
            database.execute("PRAGMA writable_schema=ON")
        except apsw.Error as error:
            raise PerceptionError(f"'{self.path}' cannot be opened as a database: {error}") from error
        return database

    def _topics(self, database: apsw.Connection) -> list[tuple[int, str, str]]:
        try:
            return list(database.execute("SELECT id, name, type FROM topics"))
        except apsw.Error as error:
            raise PerceptionError(
                f"'{self.path}' has lost its list of topics ({error}); nothing can be recovered"
            ) from error

    @staticmethod
    def _behind(database: apsw.Connection, row: int) -> tuple[int, int, int] | None:
        """(stamp, row, topic) of the first row found that can be read behind one; None for none."""

        def readable(number: int) -> tuple[int, int, int] | None:
            try:
                found = database.execute(f"{_ROWS} WHERE id >= ? ORDER BY id LIMIT 1", (number,)).fetchone()
            except apsw.Error:
                return None
            return None if found is None else (int(found[2]), int(found[0]), int(found[1]))

        step = 1
        while (found := readable(row + step)) is None:
            step *= 2
            if row + step > _LAST_ROW:
                return None
        low, high = step // 2, step
        while high - low > 1:
            middle = (low + high) // 2
            nearer = readable(row + middle)
            if nearer is None:
                low = middle
            else:
                found, high = nearer, middle
        return found

    def _ordered(self, wanted: frozenset[int]) -> Iterator[tuple[int, int, bytes]]:
        database = self._open()
        try:
            for stamp, row, number in self._rows:
                if number in wanted:
                    for (data,) in database.execute("SELECT data FROM messages WHERE id = ?", (row,)):
                        yield stamp, number, data
        finally:
            database.close()


def has_journal(path: Path) -> bool:
    """Whether messages of a .db3 lie in a journal beside it: its recorder was killed."""
    journal = path.with_name(f"{path.name}-wal")
    return journal.is_file() and journal.stat().st_size > 0


class _WholeFile(apsw.VFSFile):
    """A file without the page that was cut at its end, which SQLite would fill up with zeros."""

    _PAGE_SIZE = slice(16, 18)

    def xFileSize(self) -> int:
        size: int = super().xFileSize()
        head = super().xRead(100, 0) if size >= 100 else b""
        if not head.startswith(b"SQLite format 3"):
            return size
        page = int.from_bytes(head[self._PAGE_SIZE], "big")
        # 1 stands for 65536, which two bytes cannot hold.
        page = 65536 if page == 1 else page
        return size - size % page if page else size


class _WholePages(apsw.VFS):
    def __init__(self) -> None:
        self.vfs_name = "perception_contrast_whole_pages"
        super().__init__(self.vfs_name, "")

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        return _WholeFile("", name, flags)


@cache
def _whole_pages() -> _WholePages:
    """Registered with SQLite as long as it lives."""
    return _WholePages()


def recovered(path: Path) -> RecoveredFile:
    """Whatever is whole in a damaged storage file. Raises PerceptionError if that is nothing."""
    try:
        return RecoveredMcap(path) if path.suffix == ".mcap" else RecoveredSqlite(path)
    except OSError as error:
        raise PerceptionError(f"'{path}' cannot be read: {error.strerror or error}") from error
