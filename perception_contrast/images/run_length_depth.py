"""RVL, the lossless run-length coding of 16-bit depth of compressed_depth_image_transport.

After A. D. Wilson, "Fast Lossless Depth Image Compression", ISS 2017: runs of zeros and of other values
alternate; of the latter the differences are stored, their sign in the lowest bit; all numbers are split
into groups of three bits, lowest first, whose fourth bit says that more follow; eight such nibbles fill a
little-endian word from its top.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.errors import FrameError

_MOST_NIBBLES = 11  # 33 bits, more than any number that an encoder writes


def decode_rvl(data: memoryview, pixels: int) -> NDArray[np.uint16]:
    """Depth samples of RVL data.

    Args:
        data: The coded words, without any header.
        pixels: How many samples they are for.

    Returns:
        (pixels,) uint16.

    Raises:
        FrameError: "truncated" where data is missing, "bad_compressed" where it is damaged.
    """
    numbers = _numbers(data)
    depth = np.zeros(pixels, np.uint16)
    place, read, last = 0, 0, 0
    while place < pixels:
        if read + 2 > len(numbers):
            raise FrameError("truncated", "the RVL depth lacks data for its last rows; data was lost")
        zeros, others = int(numbers[read]), int(numbers[read + 1])
        read += 2
        place += zeros
        # An encoder ends a run only where the other kind begins.
        if place + others > pixels or (others == 0 and place < pixels):
            raise FrameError("bad_compressed", "the RVL depth is damaged: a run of pixels leaves the image")
        coded = numbers[read : read + others]
        if len(coded) < others:
            raise FrameError("truncated", "the RVL depth lacks data for its last rows; data was lost")
        if others:
            values = last + np.cumsum((coded >> 1) ^ -(coded & 1))
            depth[place : place + others] = values & 0xFFFF
            last = int(values[-1])
        place += others
        read += others
    return depth


def _numbers(data: memoryview) -> NDArray[np.int64]:
    """All numbers that are coded, those of the padding at the end with them."""
    words = np.frombuffer(data[: len(data) // 4 * 4], "<u4")
    shifts = np.arange(28, -4, -4, dtype=np.uint32)
    nibbles = ((words[:, None] >> shifts) & 0xF).ravel().astype(np.uint8)
    ends = np.flatnonzero(nibbles < 8)
    if len(ends) == 0:
        return np.zeros(0, np.int64)
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if int(lengths.max()) > _MOST_NIBBLES:
        raise FrameError("bad_compressed", "the RVL depth is damaged: a number has no end")
    numbers = np.zeros(len(ends), np.int64)
    for group in range(int(lengths.max())):
        longer = np.flatnonzero(lengths > group)
        numbers[longer] |= (nibbles[starts[longer] + group] & 7).astype(np.int64) << (3 * group)
    return numbers
