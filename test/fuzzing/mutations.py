"""Mutations of bytes, whatever they are."""

from __future__ import annotations

import struct
from random import Random

MOST_BYTES = 1 << 18
"""Inputs do not grow beyond this."""

_NUMBERS = (0, 1, 2, 3, 7, 8, 16, 127, 128, 255, 256, 4096, 32767, 32768, 65535, 65536, 1 << 20, 1 << 28)
_LARGE = ((1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
NUMBERS = (*_NUMBERS, *_LARGE)
"""Numbers at which counters, sizes and signs go wrong."""

TEXTS = (
    "", " ", "\0", "\n", "a" * 300, "é", "e\u0301", "日本語", "\u202eabc", "\u200b", "\ufeff", "😀" * 3,
    "\x1b[31m",
    "%s%n", "{}", "{0.__class__}", "../../etc/passwd", "/", "~", "-1", "1e999", "nan", "null", "true", "1e-3",
    "2024-13-45", "0x10", "#", "'", '"', ":", "a: b", "!x", "a;b;!c", "\t", "\r\n", "\ud800",
)  # fmt: skip
"""Texts that are empty, long, of other scripts, invisible, or mean something to some parser."""


def mutated(rng: Random, data: bytes, other: bytes) -> bytes:
    """One to eight changes of ``data``; ``other`` is another input, parts of which may be put in."""
    changed = bytearray(data)
    for _ in range(changes(rng)):
        _change(rng, changed, other)
    return bytes(changed[:MOST_BYTES])


def changes(rng: Random) -> int:
    """How many changes to make: mostly one, as most inputs with many are refused for the first of them."""
    return rng.choice((1, 1, 1, 1, 2, 2, 4, 8))


def _change(rng: Random, data: bytearray, other: bytes) -> None:
    kind = rng.randrange(10)
    at = rng.randrange(len(data) + 1)
    length = _length(rng, len(data) - at)
    if kind <= 1 and data:
        data[at % len(data)] ^= 1 << rng.randrange(8)
    elif kind == 2 and data:
        data[at % len(data)] = rng.randrange(256)
    elif kind == 3:
        _put_number(rng, data, at)
    elif kind == 4:
        del data[at : at + length]
    elif kind == 5:
        data[at:at] = data[at : at + length] * rng.choice((1, 1, 2, 30))
    elif kind == 6:
        data[at:at] = rng.randbytes(rng.randrange(1, 17))
    elif kind == 7:
        del data[at:]
    elif kind == 8 and other:
        begin = rng.randrange(len(other))
        data[at : at + length] = other[begin : begin + _length(rng, len(other) - begin)]
    else:
        data[at : at + length] = bytes(length) if rng.random() < 0.6 else _text(rng)


def _length(rng: Random, most: int) -> int:
    """Of a part: mostly short."""
    return min(most, 1 << rng.randrange(12)) if rng.random() < 0.8 else rng.randrange(max(1, most) + 1)


def _put_number(rng: Random, data: bytearray, at: int) -> None:
    size = rng.choice((1, 2, 4, 8))
    value = rng.choice(NUMBERS) & ((1 << 8 * size) - 1)
    order = rng.choice(("little", "big"))
    data[at : at + size] = value.to_bytes(size, order)


def _text(rng: Random) -> bytes:
    return rng.choice(TEXTS).encode("utf-8", "surrogatepass")


def interesting_float(rng: Random) -> float:
    """Not a number, infinite, tiny, huge, or the number of random bits."""
    fixed = (0.0, -0.0, 1.0, -1.0, 0.5, float("nan"), float("inf"), -float("inf"), 1e-320, 1e38, -1e38, 1e308)
    if rng.random() < 0.8:
        return rng.choice(fixed)
    return float(struct.unpack("<d", rng.randbytes(8))[0])
