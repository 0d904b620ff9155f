"""Zeros that take memory a small page at a time, as they are written."""

from __future__ import annotations

import math
import mmap
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


def lazy_zeros(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Zeros of a shape that take no memory before they are written.

    NumPy asks the system for pages of 2 MB where it can: to find and clear these has taken a frame 40 ms.
    """
    kind = np.dtype(dtype)
    size = kind.itemsize * math.prod(shape)
    if not size:
        return np.zeros(shape, kind)
    memory = mmap.mmap(-1, size)
    # Elsewhere than on Linux there is no such advice, and kernels without large pages refuse it.
    with suppress(AttributeError, OSError):
        memory.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(memory, kind).reshape(shape)
