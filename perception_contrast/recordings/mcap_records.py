"""What of an MCAP record is whole although the record is not, and where the next one begins.

Layout of records: https://mcap.dev/spec.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from io import BufferedReader
from typing import Any, NamedTuple

RECORD = struct.Struct("<BQ")  # opcode, length of the content
MESSAGE_HEAD = struct.Struct("<HIQQ")  # channel, sequence, log time, publish time
SCHEMA, CHANNEL, MESSAGE, CHUNK, DATA_END = 0x03, 0x04, 0x05, 0x06, 0x0F

_CHUNK_HEAD = struct.Struct("<QQQII")  # times, unpacked size, CRC, length of the compression's name
_COMPRESSIONS = (b"", b"lz4", b"zstd")
HEAD_AT_MOST = _CHUNK_HEAD.size + 4 + 8
# A message or a chunk that is shorter than a terabyte; looked for at every byte.
_BEGINNING = re.compile(rb"(?=[\x05\x06].{5}\x00{3})", re.DOTALL)
_BLOCK = 1 << 24
_STEP = 1 << 12
_SECTOR = 512  # bytes; less is not left unwritten


class ChunkHead(NamedTuple):
    """What stands before a chunk's records. start: log time of its first message. at: of the records."""

    start: int
    compression: str
    at: int


def chunk_head(content: bytes, length: int) -> ChunkHead | None:
    """None unless ``content``, or its first bytes, begin as a chunk of ``length`` bytes does."""
    if len(content) < _CHUNK_HEAD.size:
        return None
    start, end, _, _, count = _CHUNK_HEAD.unpack_from(content)
    at = _CHUNK_HEAD.size + count + 8
    name = content[_CHUNK_HEAD.size : at - 8]
    if start > end or name not in _COMPRESSIONS or len(content) < at:
        return None
    said = int.from_bytes(content[at - 8 : at], "little")
    return ChunkHead(start, name.decode(), at) if at + said == length else None


def whole_records(content: bytes, head: ChunkHead) -> Iterator[tuple[int, bytes]]:
    """(opcode, content) of the records that are whole in the beginning of a chunk."""
    plain = _unpacked(content[head.at :], head.compression)
    position = 0
    while position + RECORD.size <= len(plain):
        code, length = RECORD.unpack_from(plain, position)
        begin, position = position + RECORD.size, position + RECORD.size + length
        if position > len(plain) or not 0 < code < 0x80:
            return
        yield code, plain[begin:position]


def _unpacked(data: bytes, compression: str) -> bytes:
    """As much as comes out of the beginning of compressed data."""
    if not compression:
        return data
    reader, plain = _reader(compression), []
    for begin in range(0, len(data), _STEP):
        try:
            plain.append(reader.decompress(data[begin : begin + _STEP]))
        except Exception:  # of either library; what came before is good
            break
    return b"".join(plain)


def _reader(compression: str) -> Any:
    if compression == "zstd":
        from zstandard import ZstdDecompressor

        return ZstdDecompressor().decompressobj()
    from lz4.frame import LZ4FrameDecompressor

    return LZ4FrameDecompressor()


def written(file: BufferedReader, begin: int, length: int, size: int) -> int:
    """How many bytes of a record's content are there: a file that was cut may end in zeros besides."""
    there = min(length, size - begin)
    file.seek(begin + there)
    follows = file.read(RECORD.size)
    if follows.strip(b"\0") or (there == length and not follows):
        return there
    file.seek(begin + max(0, there - _SECTOR))
    if file.read(min(there, _SECTOR)).strip(b"\0"):
        return there
    file.seek(begin)
    return len(file.read(there).rstrip(b"\0"))


def next_record(file: BufferedReader, begin: int, size: int, known: Callable[[int, int], bool]) -> int | None:
    """Where the first message or chunk from ``begin`` on stands; None where there is none.

    known: whether a channel's number and a log time are such as the file has. size: of the file.
    """
    while begin < size:
        file.seek(begin)
        block = file.read(_BLOCK)
        last = begin + len(block) >= size
        for found in _BEGINNING.finditer(block):
            if not last and found.start() > len(block) - RECORD.size - HEAD_AT_MOST:
                break  # is whole in the next block
            if _begins(
                block[found.start() :][: RECORD.size + HEAD_AT_MOST], size - begin - found.start(), known
            ):
                return begin + found.start()
        begin += len(block) if last else len(block) - RECORD.size - HEAD_AT_MOST
    return None


def _begins(head: bytes, there: int, known: Callable[[int, int], bool]) -> bool:
    code, length = RECORD.unpack_from(head)
    content = head[RECORD.size :]
    if code == CHUNK:
        return chunk_head(content, length) is not None
    if not MESSAGE_HEAD.size <= length <= there - RECORD.size:
        return False
    number, _, stamp, _ = MESSAGE_HEAD.unpack_from(content)
    return known(number, stamp)
