"""Mutations of an .mcap file by its records, those inside of chunks too."""

from __future__ import annotations

import struct
from random import Random

from fuzzing.mutations import mutated

_MAGIC = b"\x89MCAP0\r\n"
_RECORD = struct.Struct("<BQ")
_CHUNK = struct.Struct("<QQQII")
_CODES = tuple(range(1, 16))


def mutated_mcap(rng: Random, data: bytes) -> bytes:
    """Records dropped, repeated, exchanged, of another kind, length or content. Chunks are unpacked."""
    records = _records(data[len(_MAGIC) :])
    if not records:
        return data
    for _ in range(rng.randrange(1, 4)):
        _change(rng, records)
    return _MAGIC + _joined(records) + (_MAGIC if rng.random() < 0.9 else b"")


def _records(data: bytes) -> list[tuple[int, bytes]]:
    found, position = [], 0
    while position + _RECORD.size <= len(data):
        code, length = _RECORD.unpack_from(data, position)
        end = position + _RECORD.size + length
        if end > len(data) or not code:
            break
        found.append((code, data[position + _RECORD.size : end]))
        position = end
    return found


def _joined(records: list[tuple[int, bytes]]) -> bytes:
    return b"".join(_RECORD.pack(code, len(body)) + body for code, body in records)


def _change(rng: Random, records: list[tuple[int, bytes]]) -> None:
    if not records:
        return
    at = rng.randrange(len(records))
    code, body = records[at]
    action = rng.randrange(7)
    if action == 0:
        del records[at]
    elif action == 1:
        records.insert(rng.randrange(len(records) + 1), (code, body))
    elif action == 2:
        other = rng.randrange(len(records))
        records[at], records[other] = records[other], records[at]
    elif action == 3:
        records[at] = (rng.choice(_CODES), body)
    elif code == 6 and len(body) > _CHUNK.size:
        records[at] = (code, _chunk(rng, body))
    else:
        records[at] = (code, mutated(rng, body, records[rng.randrange(len(records))][1]))


def _chunk(rng: Random, body: bytes) -> bytes:
    """Changed records in a chunk without compression and without a checksum."""
    start, end, size, _, length = _CHUNK.unpack_from(body)
    name = body[_CHUNK.size : _CHUNK.size + length]
    inner = body[_CHUNK.size + length + 8 :]
    if name == b"zstd":
        from zstandard import ZstdDecompressor, ZstdError

        try:
            inner = ZstdDecompressor().decompressobj().decompress(inner)
        except ZstdError:
            return body
    elif name:
        return mutated(rng, body, b"")
    records = _records(inner)
    _change(rng, records)
    plain = _joined(records)
    size = len(plain) if rng.random() < 0.8 else rng.choice((0, 1, 1 << 40, (1 << 64) - 1))
    return _CHUNK.pack(start, end, size, 0, 0) + struct.pack("<Q", len(plain)) + plain
