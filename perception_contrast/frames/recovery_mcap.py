"""What is still whole in a damaged .mcap: files without an index, cut short, or with bad parts.

Every record states its length, so a file is walked from its beginning without the index at its end; chunks
are checked by their CRC (https://mcap.dev/spec).
"""

from __future__ import annotations

import heapq
import struct
from collections import Counter
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import PerceptionError
from .recovery import RecoveredFile

_MCAP_MAGIC = b"\x89MCAP0\r\n"
_RECORD = struct.Struct("<BQ")
_CHUNK_TIMES = struct.Struct("<QQ")
_SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _DATA_END = 0x03, 0x04, 0x05, 0x06, 0x0F
_MOST_RECORD = 4 << 30


class _Piece(NamedTuple):
    """A chunk, or a message outside of chunks. offset, length: of the record's content."""

    start: int
    offset: int
    length: int
    is_chunk: bool


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
        self.settle(self._topics, counts, times)

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

    def ordered(self, wanted: frozenset[int]) -> Iterator[tuple[int, int, bytes]]:
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
