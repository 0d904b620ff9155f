"""What is still whole in a damaged .mcap: files without an index, cut short, or with bad parts.

Every record states its length, so a file is walked from its beginning without the index at its end; chunks
are checked by their CRC (https://mcap.dev/spec). Behind a record that cannot be read the next message or
chunk is looked for.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import NamedTuple

from perception_contrast.core.errors import PerceptionError
from perception_contrast.recordings.mcap_file import channel_encoding
from perception_contrast.recordings.mcap_records import (
    CHANNEL,
    CHUNK,
    DATA_END,
    HEAD_AT_MOST,
    MESSAGE,
    MESSAGE_HEAD,
    RECORD,
    SCHEMA,
    chunk_head,
    next_record,
    whole_records,
    written,
)
from perception_contrast.recordings.recovery import RecoveredFile

_MCAP_MAGIC = b"\x89MCAP0\r\n"
_MOST_RECORD = 4 << 30
_NEAR = 3600 * 10**9  # nanoseconds from what was read before, within which a message is believed


class _Piece(NamedTuple):
    """A chunk, or a message outside of chunks. offset, length: of what is there of the record's content;
    missing: bytes that are not."""

    start: int
    offset: int
    length: int
    is_chunk: bool
    missing: int = 0


def _message(content: bytes) -> tuple[int, int, bytes]:
    number, _, stamp, _ = MESSAGE_HEAD.unpack_from(content)
    return stamp, number, content[MESSAGE_HEAD.size :]


class RecoveredMcap(RecoveredFile):
    """An .mcap file read without its index. Raises PerceptionError if not even its beginning is there."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._pieces: list[_Piece] = []
        self._schemas: dict[int, str] = {}
        self._topics: dict[int, tuple[str, str]] = {}
        self._schema_encodings: dict[int, str] = {}
        self._encodings: dict[int, str] = {}
        self._times: list[int] = []
        counts: Counter[int] = Counter()
        with path.open("rb") as file:
            if file.read(8) != _MCAP_MAGIC:
                raise PerceptionError(f"'{path}' does not begin as an mcap file; nothing can be recovered")
            for piece in self._records(file):
                found = list(self._of_piece(file, piece))
                if not found:
                    continue
                self._pieces.append(piece)
                counts.update(number for _, number, _ in found)
                stamps = [stamp for stamp, _, _ in found]
                self._times = [min([*self._times, *stamps]), max([*self._times, *stamps])]
        self._pieces.sort()
        self.settle(self._topics, counts, self._times, self._encodings)

    def _records(self, file: BufferedReader) -> Iterator[_Piece]:
        """Chunks and messages up to the end of the data or of what is there; notes what is not."""
        size = self.path.stat().st_size
        while True:
            position = file.tell()
            head = file.read(RECORD.size)
            code, length = RECORD.unpack(head) if len(head) == RECORD.size else (0, 0)
            begin = position + RECORD.size
            if code == DATA_END:
                self._learn_summary(file, begin + length)
                return
            if not 0 < code < 0x80 or length > _MOST_RECORD or begin + length > size:
                if code == CHUNK and chunk_head(file.read(HEAD_AT_MOST), length):
                    yield self._chunk(file, begin, length, size)
                    return
                if not self._found_again(file, position, size):
                    return
                continue
            if code == CHUNK:
                yield self._chunk(file, begin, length, size)
            elif code == MESSAGE and length >= MESSAGE_HEAD.size:
                yield _Piece(MESSAGE_HEAD.unpack(file.read(MESSAGE_HEAD.size))[2], begin, length, False)
            elif code in (SCHEMA, CHANNEL):
                self._learn(code, file.read(length))
            file.seek(begin + length)

    def _found_again(self, file: BufferedReader, position: int, size: int) -> bool:
        """Goes to the next record behind one that cannot be read; False where there is none."""
        found = next_record(file, position + 1, size, self._is_known)
        if found is None:
            self._lose_tail(size - position)
            return False
        self.lost.append(f"{found - position} bytes at byte {position} of '{self.path.name}' are unreadable")
        file.seek(found)
        return True

    def _chunk(self, file: BufferedReader, begin: int, length: int, size: int) -> _Piece:
        file.seek(begin)
        head = chunk_head(file.read(HEAD_AT_MOST), length)
        there = written(file, begin, length, size)
        if head is None or there < head.at:
            return _Piece(0, begin, length, True)
        if there < length:
            self.lost.append(
                f"a chunk at byte {begin} of '{self.path.name}' was cut: {there} of its {length} bytes are "
                "there; its messages are read up to there"
            )
        return _Piece(head.start, begin, there, True, length - there)

    def _is_known(self, number: int, stamp: int) -> bool:
        near = bool(self._times) and self._times[0] - _NEAR <= stamp <= self._times[-1] + _NEAR
        return number in self._topics and near

    def _learn_summary(self, file: BufferedReader, position: int) -> None:
        """Topics are told once more behind the data; the chunk that told them first may be damaged."""
        file.seek(position)
        while len(head := file.read(RECORD.size)) == RECORD.size:
            code, length = RECORD.unpack(head)
            if not 0 < code < 0x80 or length > _MOST_RECORD:
                return
            content = file.read(length)
            if code in (SCHEMA, CHANNEL):
                self._learn(code, content)

    def _lose_tail(self, count: int) -> None:
        what = f"the last {count} bytes of '{self.path.name}' are cut or unreadable" if count else ""
        self.lost.append(what or f"'{self.path.name}' has no end; it was not closed, no message seems lost")

    def _learn(self, code: int, data: bytes) -> None:
        from mcap.data_stream import ReadDataStream
        from mcap.records import Channel, Schema

        try:
            if code == SCHEMA:
                schema = Schema.read(ReadDataStream(BytesIO(data)))
                self._schemas[schema.id] = schema.name
                self._schema_encodings[schema.id] = schema.encoding
            else:
                channel = Channel.read(ReadDataStream(BytesIO(data)))
                kind = self._schemas.get(channel.schema_id, "")
                self._topics[channel.id] = (channel.topic, kind)
                self._encodings[channel.id] = channel_encoding(
                    channel.message_encoding, self._schema_encodings.get(channel.schema_id, "")
                )
        except Exception as error:
            self.lost.append(f"a topic's description in '{self.path.name}' is damaged: {error}")

    def _of_piece(self, file: BufferedReader, piece: _Piece) -> Iterator[tuple[int, int, bytes]]:
        """(stamp, channel, data) of whole messages; notes a damaged chunk and gives nothing of it."""
        place = file.tell()
        file.seek(piece.offset)
        data = file.read(piece.length)
        file.seek(place)
        if not piece.is_chunk:
            yield _message(data)
            return
        if piece.missing:
            yield from self._of_cut(data, piece)
            return
        try:
            yield from self._unchunked(data)
        except Exception as error:
            note = f"a chunk of {piece.length} bytes at byte {piece.offset} of '{self.path.name}' is damaged"
            if not any(known.startswith(note) for known in self.lost):
                self.lost.append(f"{note}: {str(error) or type(error).__name__}")

    def _of_cut(self, data: bytes, piece: _Piece) -> list[tuple[int, int, bytes]]:
        head = chunk_head(data, piece.length + piece.missing)
        assert head is not None  # else it would not be a piece
        found = []
        for code, content in whole_records(data, head):
            if code in (SCHEMA, CHANNEL):
                self._learn(code, content)
            elif code == MESSAGE and len(content) >= MESSAGE_HEAD.size:
                found.append(_message(content))
        return sorted(found, key=lambda message: message[0])

    def _unchunked(self, data: bytes) -> list[tuple[int, int, bytes]]:
        from mcap.data_stream import ReadDataStream
        from mcap.records import Channel, Chunk, Message, Schema
        from mcap.stream_reader import breakup_chunk

        chunk = Chunk.read(ReadDataStream(BytesIO(data)))
        found = []
        for record in breakup_chunk(chunk, validate_crc=True):
            if isinstance(record, Schema):
                self._schemas[record.id] = record.name
                self._schema_encodings[record.id] = record.encoding
            elif isinstance(record, Channel):
                self._topics[record.id] = (record.topic, self._schemas.get(record.schema_id, ""))
                self._encodings[record.id] = channel_encoding(
                    record.message_encoding, self._schema_encodings.get(record.schema_id, "")
                )
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
