"""HalfRows: a table of float16 vectors that grows by chunks, so that growing copies nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import FloatArray
from perception_contrast.mapping.language.lazy_memory import lazy_zeros

CHUNK_ROWS = 65_536
# Rows that are cast to float32 at a time where all are read: 2 MB of 256 channels, which a cache holds.
BLOCK_ROWS = 2_048

HalfArray = NDArray[np.float16]


# Sign, exponent and fraction of float16 at their places in float32, and what the exponents' zeros differ by.
_FIELDS, _SHIFT = np.int32(-0x7000_2000), 13
_EXPONENTS = np.float32(2.0**112)
_SIGN = np.int16(-0x8000)
_EXPONENT = np.uint16(0x7C00)
# Which 16 bits of a float32 have its sign.
_HIGH = 1 if sys.byteorder == "little" else 0
# Rows that are cast at a time, in a cache.
_CAST_ROWS = 256


def to_single(halves: HalfArray, singles: FloatArray) -> FloatArray:
    """Casts finite float16 numbers into the float32 array ``singles`` of the same shape, exactly.

    NumPy casts one number after the other, in five times the time.
    """
    bits = singles.view(np.int32)
    bits[:] = halves.view(np.int16)
    np.left_shift(bits, _SHIFT, out=bits)
    np.bitwise_and(bits, _FIELDS, out=bits)
    return np.multiply(singles, _EXPONENTS, out=singles)


def to_half(singles: FloatArray) -> HalfArray:
    """Casts float32 numbers (n, m) within float16's range to the nearest; of two as near, to the larger.

    A third of the time of NumPy's cast.
    """
    halves = np.empty(singles.shape, np.int16)
    buffer = np.empty((min(len(singles), _CAST_ROWS), singles.shape[1]), np.float32)
    for start in range(0, len(singles), _CAST_ROWS):
        part = halves[start : start + _CAST_ROWS]
        scaled = buffer[: len(part)]
        np.multiply(singles[start : start + _CAST_ROWS], 1 / _EXPONENTS, out=scaled)
        np.bitwise_and(scaled.view(np.int16)[:, _HIGH::2], _SIGN, out=part)
        bits = scaled.view(np.int32)
        np.add(bits, 1 << (_SHIFT - 1), out=bits)
        np.right_shift(bits, _SHIFT, out=bits)
        np.bitwise_or(part, bits.astype(np.int16), out=part)
    return halves.view(np.float16)


def all_finite(halves: HalfArray) -> bool:
    """Whether no number of (n, m) is NaN or infinite, without a copy of them all."""
    return not any(
        (halves[start : start + BLOCK_ROWS].view(np.uint16) & _EXPONENT == _EXPONENT).any()
        for start in range(0, len(halves), BLOCK_ROWS)
    )


class HalfRows:
    """Vectors by row number. Rows that were never written take no memory.

    Args:
        channels: Of a vector.
    """

    def __init__(self, channels: int) -> None:
        self.channels = channels
        self._chunks: list[HalfArray] = []

    def reserve(self, rows: int) -> None:
        """Makes the rows 0 to ``rows`` - 1 writable."""
        while len(self._chunks) * CHUNK_ROWS < rows:
            self._chunks.append(lazy_zeros((CHUNK_ROWS, self.channels), np.float16))

    def write(self, rows: NDArray[np.int64], vectors: FloatArray | HalfArray) -> None:
        """Writes vectors (n, channels) into rows (n,)."""
        if vectors.dtype == np.float16:
            halves = np.asarray(vectors, np.float16)
        else:
            halves = to_half(np.asarray(vectors, np.float32))
        for chunk, places, which in self._by_chunk(rows):
            chunk[places] = halves[which]

    def read_half(self, rows: NDArray[np.int64], room: HalfArray | None = None) -> HalfArray:
        """Vectors (n, channels) float16 of rows (n,).

        Args:
            rows: Numbers of rows.
            room: (m, channels) float16 that the vectors are written into; where it is too small, or None, new
                memory is taken, which costs several times as much as the copy.
        """
        fits = room is not None and len(room) >= len(rows)
        halves = (
            room[: len(rows)]
            if room is not None and fits
            else np.empty((len(rows), self.channels), np.float16)
        )
        for chunk, places, which in self._by_chunk(rows):
            if len(places) and places[-1] - places[0] + 1 == len(places) and (np.diff(places) == 1).all():
                halves[which] = chunk[places[0] : places[-1] + 1]
            else:
                halves[which] = chunk[places]
        return halves

    def read(self, rows: NDArray[np.int64]) -> FloatArray:
        """Vectors (n, channels) float32 of rows (n,)."""
        return to_single(self.read_half(rows), np.empty((len(rows), self.channels), np.float32))

    def blocks(self, rows: int) -> Iterator[tuple[slice, FloatArray]]:
        """The rows 0 to ``rows`` - 1 as float32, a block at a time; the array is used again for the next."""
        buffer = np.empty((BLOCK_ROWS, self.channels), np.float32)
        for start in range(0, rows, BLOCK_ROWS):
            stop = min(start + BLOCK_ROWS, rows)
            chunk, first = self._chunks[start // CHUNK_ROWS], start % CHUNK_ROWS
            yield slice(start, stop), to_single(chunk[first : first + stop - start], buffer[: stop - start])

    def _by_chunk(
        self, rows: NDArray[np.int64]
    ) -> Iterator[tuple[HalfArray, NDArray[np.int64], NDArray[np.int64] | slice]]:
        """Chunk, places within it, and which of ``rows`` these are."""
        numbers = rows // CHUNK_ROWS
        if len(rows) and (np.diff(rows) >= 0).all():
            for number in range(int(numbers[0]), int(numbers[-1]) + 1):
                part = slice(*np.searchsorted(numbers, (number, number + 1)))
                if part.stop > part.start:
                    yield self._chunks[number], rows[part] - number * CHUNK_ROWS, part
            return
        for number in np.unique(numbers):
            which = np.flatnonzero(numbers == number)
            everything = len(which) == len(rows)
            yield (
                self._chunks[number],
                rows[which] - number * CHUNK_ROWS,
                slice(None) if everything else which,
            )
