"""RVL depth against an encoder written from the paper, number by number."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from perception_contrast.core.errors import FrameError
from perception_contrast.images.compressed import decode_compressed_depth
from perception_contrast.images.run_length_depth import decode_rvl


class Nibbles:
    """Four-bit groups in little-endian words, the first at the top of its word."""

    def __init__(self) -> None:
        self.groups: list[int] = []

    def number(self, value: int) -> None:
        while True:
            group, value = value & 7, value >> 3
            self.groups.append(group | (8 if value else 0))
            if not value:
                return

    def data(self) -> bytes:
        padded = self.groups + [0] * (-len(self.groups) % 8)
        words = [
            sum(group << (28 - 4 * place) for place, group in enumerate(padded[begin : begin + 8]))
            for begin in range(0, len(padded), 8)
        ]
        return struct.pack(f"<{len(words)}I", *words)


def encoded(samples: NDArray[np.uint16]) -> bytes:
    """Wilson 2017, figure 1: zeros, non-zeros, then each difference with its sign lowest."""
    nibbles, values, place, last = Nibbles(), [int(value) for value in samples.ravel()], 0, 0
    while place < len(values):
        begin = place
        while place < len(values) and values[place] == 0:
            place += 1
        nibbles.number(place - begin)
        begin = place
        while place < len(values) and values[place] != 0:
            place += 1
        nibbles.number(place - begin)
        for value in values[begin:place]:
            change, last = value - last, value
            nibbles.number(2 * change if change >= 0 else -2 * change - 1)
    return nibbles.data()


def message(samples: NDArray[np.uint16], a: float = 0.0, b: float = 0.0) -> bytes:
    height, width = samples.shape
    return struct.pack("<iffII", 0, a, b, width, height) + encoded(samples)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    holes=st.sampled_from([0.0, 0.3, 1.0]),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
)
def test_what_was_encoded_comes_back(seed: int, holes: float, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(seed)
    samples = rng.integers(1, 65536, size).astype(np.uint16)
    samples[rng.random(size) < holes] = 0
    depth = decode_compressed_depth(message(samples), "16UC1; compressedDepth rvl")
    np.testing.assert_allclose(depth, np.where(samples == 0, np.nan, samples / 1000), rtol=1e-6)


def test_known_words() -> None:
    """By hand: one zero, two values 5 and 3: numbers 1, 2, 10 (1|010 then 0|001), 3."""
    assert decode_rvl(memoryview(struct.pack("<I", 0x12A13000)), 3).tolist() == [0, 5, 3]


def test_inverse_depth() -> None:
    a, b = 100.0, 2.0
    samples = np.array([[52, 102, 0]], np.uint16)
    depth = decode_compressed_depth(message(samples, a, b), "32FC1; compressedDepth rvl")
    np.testing.assert_allclose(depth, [[2.0, 1.0, np.nan]])


def test_a_large_image_is_decoded_quickly_and_whole() -> None:
    rows, columns = np.mgrid[:480, :640]
    samples = (1000 + rows + columns).astype(np.uint16)
    samples[:, ::40] = 0
    np.testing.assert_array_equal(decode_rvl(memoryview(encoded(samples)), samples.size), samples.ravel())


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=120), pixels=st.integers(1, 400))
def test_any_bytes_give_samples_or_a_reason(data: bytes, pixels: int) -> None:
    try:
        assert decode_rvl(memoryview(data), pixels).shape == (pixels,)
    except FrameError as error:
        assert error.reason in ("truncated", "bad_compressed")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_data_that_was_cut_is_refused(share: float) -> None:
    samples = np.random.default_rng(0).integers(1, 9000, (20, 30)).astype(np.uint16)
    data = encoded(samples)
    with pytest.raises(FrameError) as caught:
        decode_rvl(memoryview(data[: int(share * len(data))]), samples.size)
    assert caught.value.reason == "truncated"
