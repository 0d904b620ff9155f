"""Pillow's antialiased bicubic and bilinear filters as products of matrices, exact in float32.

Pillow takes each weight in whole units of 2**-22, sums weight times level in integers and rounds to a
level after each of its two passes, so their order shows. A float32 product of such weights would round.
Here each weight is split into a high and a low part of at most 12 bits with its sign: levels have 8, so
every product and, up to 32 taps at the least, every sum is a whole number that float32 holds, and TF32
takes both factors unrounded. Beyond 32 taps a sum of low parts may lose its last bit, 2**-22 of a level.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PRECISION_BITS = 22
LOW_BITS = 12
BLOCK = 32
_SUPPORT = 2.0
_BILINEAR_SUPPORT = 1.0
_A = -0.5


@dataclass(frozen=True)
class Bands:
    """One axis of a resize as ``blocks`` products, each of ``BLOCK`` outputs with the window they read.

    index: (blocks, window) int64, samples of the source. high, low: (blocks, window, BLOCK) float32, whole
    numbers; a weight is (high * 2**12 + low) / 2**22. The last block's outputs behind ``target`` are 0.
    """

    target: int
    index: NDArray[np.int64]
    high: NDArray[np.float32]
    low: NDArray[np.float32]


def pillow_weights(
    source: int, target: int, *, bilinear: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """first (target,), the first sample that each output reads, and its weights (target, taps) in 2**-22.

    Taps that fall outside the source weigh 0.
    """
    if source < 1 or target < 1:
        raise ValueError(f"resampling {source} to {target} samples: both must be at least 1")
    scale = source / target
    stretch = max(scale, 1.0)
    support = (_BILINEAR_SUPPORT if bilinear else _SUPPORT) * stretch
    taps = math.ceil(support) * 2 + 1
    centre = (np.arange(target) + 0.5) * scale
    # Truncated towards zero and then clipped, as C does it.
    first = np.maximum((centre - support + 0.5).astype(np.int64), 0)
    end = np.minimum((centre + support + 0.5).astype(np.int64), source)
    sample = first[:, None] + np.arange(taps)
    kernel = _triangle if bilinear else _bicubic
    weights = kernel((sample - centre[:, None] + 0.5) * (1.0 / stretch))
    weights[sample >= end[:, None]] = 0.0
    # One after another, as Pillow does: NumPy's pairwise sum differs in the last bit.
    weights /= np.cumsum(weights, axis=1)[:, -1:]
    fixed = weights * (1 << PRECISION_BITS)
    return first, np.trunc(fixed + np.where(fixed < 0, -0.5, 0.5)).astype(np.int64)


def height_first(source: tuple[int, int], target: tuple[int, int]) -> bool:
    """Whether Pillow brings (height, width) to the target's height before its width.

    Pillow 13 does where the height loses over twice as many pixels as the width; versions before never do.
    """
    lost_rows, lost_columns = source[0] - target[0], source[1] - target[1]
    return lost_rows > 0 and lost_rows > 2 * lost_columns and _pillow_chooses_order()


@lru_cache(maxsize=1)
def _pillow_chooses_order() -> bool:
    """Asked of the installed Pillow by an image that comes out otherwise if its width is changed first."""
    image = Image.fromarray(np.array([[0, 255], [200, 3]], np.uint8))
    filtered = Image.Resampling.BICUBIC
    at_once = image.resize((3, 1), filtered)
    return at_once.tobytes() != image.resize((3, 2), filtered).resize((3, 1), filtered).tobytes()


def bands(source: int, target: int, *, bilinear: bool = False) -> Bands:
    """The products that resample ``source`` samples to ``target``."""
    first, weights = pillow_weights(source, target, bilinear=bilinear)
    blocks = -(-target // BLOCK)
    starts = first[::BLOCK]
    last = np.minimum(first + weights.shape[1], source)
    window = int(max(last[i * BLOCK : (i + 1) * BLOCK].max() - starts[i] for i in range(blocks)))
    starts = np.minimum(starts, source - window)
    fixed = np.zeros((blocks, window, BLOCK), np.int64)
    output = np.arange(target)
    block, column = output // BLOCK, output % BLOCK
    for tap in range(weights.shape[1]):
        row = first + tap - starts[block]
        inside = weights[:, tap] != 0
        fixed[block[inside], row[inside], column[inside]] = weights[inside, tap]
    high = (fixed + (1 << (LOW_BITS - 1))) >> LOW_BITS
    low = fixed - (high << LOW_BITS)
    return Bands(target, starts[:, None] + np.arange(window), high.astype(np.float32), low.astype(np.float32))


def _triangle(x: NDArray[np.float64]) -> NDArray[np.float64]:
    kernel: NDArray[np.float64] = np.maximum(1.0 - np.abs(x), 0.0)
    return kernel


def _bicubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keys' cubic convolution kernel."""
    x = np.abs(x)
    near = ((_A + 2.0) * x - (_A + 3.0)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * _A
    kernel: NDArray[np.float64] = np.where(x < 1.0, near, np.where(x < 2.0, far, 0.0))
    return kernel
