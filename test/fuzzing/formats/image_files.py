"""Mutations of PNG, JPEG, RIFF and TIFF by their parts."""

from __future__ import annotations

import struct
import zlib
from random import Random

from fuzzing.mutations import NUMBERS

_PNG = b"\x89PNG\r\n\x1a\n"


def mutated_png(rng: Random, data: bytes) -> bytes:
    """Chunks dropped, repeated, exchanged or changed, all with checksums that hold."""
    chunks = _png_chunks(data)
    if not chunks:
        return data
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(chunks))
        kind, body = chunks[at]
        action = rng.randrange(5)
        if action == 0 and len(chunks) > 1:
            del chunks[at]
        elif action == 1:
            chunks.insert(rng.randrange(len(chunks) + 1), (kind, body))
        elif action == 2:
            chunks[at] = (rng.choice((b"IDAT", b"PLTE", b"tRNS", b"eXIf", b"acTL", b"fdAT", b"iCCP")), body)
        elif kind == b"IHDR" and len(body) == 13:
            chunks[at] = (kind, _png_header(rng, body))
        elif body:
            chunks[at] = (kind, _idat(rng, body) if kind == b"IDAT" else _bytes(rng, body))
    return _PNG + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def _png_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    begin = data.find(_PNG)
    chunks, position = [], begin + len(_PNG)
    while begin >= 0 and position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        if position + 12 + length > len(data):
            break
        chunks.append((kind, data[position + 8 : position + 8 + length]))
        position += 12 + length
    return chunks


def _png_header(rng: Random, body: bytes) -> bytes:
    width, height, *rest = struct.unpack(">IIBBBBB", body)
    values = [width, height, *rest]
    at = rng.randrange(7)
    if at < 2:
        values[at] = rng.choice((0, 1, values[at] * 2 & 0xFFFFFFFF, 7999, 8001, 1 << 31, (1 << 32) - 1))
    else:
        values[at] = rng.choice((0, 1, 2, 3, 4, 6, 8, 16, 255))
    return struct.pack(">IIBBBBB", *values)


def _idat(rng: Random, body: bytes) -> bytes:
    """Other pixels, or more or fewer of them, in a stream that zlib can read."""
    try:
        plain = bytearray(zlib.decompressobj().decompress(body, 1 << 18))
    except zlib.error:
        return _bytes(rng, body)
    if plain and rng.random() < 0.5:
        plain[rng.randrange(len(plain))] = rng.randrange(256)
    else:
        plain = plain[: rng.randrange(len(plain) + 1)] if rng.random() < 0.6 else plain * 2
    return zlib.compress(bytes(plain), 1)


def _bytes(rng: Random, body: bytes) -> bytes:
    changed = bytearray(body)
    changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed[: rng.randrange(len(changed) + 1)]) if rng.random() < 0.3 else bytes(changed)


def mutated_jpeg(rng: Random, data: bytes) -> bytes:
    """Segments dropped, repeated, of another marker, size or content."""
    segments, rest = _jpeg_segments(data)
    if not segments:
        return data
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(segments))
        marker, body = segments[at]
        action = rng.randrange(5)
        if action == 0 and len(segments) > 1:
            del segments[at]
        elif action == 1:
            segments.insert(rng.randrange(len(segments) + 1), (marker, body))
        elif action == 2:
            segments[at] = (
                rng.choice((0xC0, 0xC1, 0xC2, 0xC4, 0xDB, 0xDD, 0xDA, 0xE0, 0xE1, 0xEE, 0xFE)),
                body,
            )
        elif 0xC0 <= marker <= 0xC2 and len(body) >= 6:
            size = [rng.choice((0, 1, 8, 4000, 8000, 65535)) for _ in range(2)]
            segments[at] = (marker, body[:1] + struct.pack(">HH", *size) + body[5:])
        elif body:
            segments[at] = (marker, _bytes(rng, body))
    if len(rest) > 2 and rng.random() < 0.4:
        rest = _bytes(rng, rest[:-2]) + rest[-2:]
    return b"\xff\xd8" + b"".join(_segment(*one) for one in segments) + rest


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, (len(body) + 2) & 0xFFFF) + body


def _jpeg_segments(data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """(marker, content) of the segments up to the first scan's header, and what follows it."""
    segments, position = [], 2
    while data[:2] == b"\xff\xd8" and position + 4 <= len(data) and data[position] == 0xFF:
        marker, length = struct.unpack_from(">BH", data, position + 1)
        segments.append((marker, data[position + 4 : position + 2 + length]))
        position += 2 + length
        if marker == 0xDA:
            break
    return segments, data[position:]


def mutated_tiff(rng: Random, data: bytes) -> bytes:
    """Values, types and counts of entries changed."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None or len(data) < 10:
        return data
    (begin,) = struct.unpack_from(f"{order}I", data, 4)
    if begin + 2 > len(data):
        return data
    (count,) = struct.unpack_from(f"{order}H", data, begin)
    changed = bytearray(data)
    for _ in range(rng.randrange(1, 4)):
        entry = begin + 2 + 12 * rng.randrange(max(1, count))
        if entry + 12 > len(data):
            continue
        offset, kind = rng.choice(((0, "H"), (2, "H"), (4, "I"), (8, "I"), (8, "H")))
        number = rng.choice((*NUMBERS, rng.randrange(254, 340))) & (0xFFFF if kind == "H" else 0xFFFFFFFF)
        struct.pack_into(f"{order}{kind}", changed, entry + offset, number)
    return bytes(changed)


def mutated_numbers(rng: Random, data: bytes) -> bytes:
    """A header's numbers (of BMP, WebP, RVL): one of the first 80 bytes' words is another."""
    changed = bytearray(data)
    for _ in range(rng.randrange(1, 3)):
        at = rng.randrange(min(80, max(1, len(data))))
        size = rng.choice((1, 2, 4))
        changed[at : at + size] = (rng.choice(NUMBERS) & ((1 << 8 * size) - 1)).to_bytes(size, "little")
    return bytes(changed)
