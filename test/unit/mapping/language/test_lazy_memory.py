"""lazy_zeros: zeros that can be written, of any type, and take memory only then."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from perception_contrast.mapping.language.lazy_memory import lazy_zeros


@pytest.mark.parametrize("kind", [np.float16, np.int64, np.bool_])
def test_zeros_can_be_written(kind: type) -> None:
    array = lazy_zeros((5, 3), kind)
    assert array.dtype == kind and array.shape == (5, 3) and not array.any()
    array[2] = 1
    assert array.sum() == 3
    assert lazy_zeros((0, 3), kind).shape == (0, 3)


def test_what_was_not_written_takes_no_memory() -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    before = resident()
    array = lazy_zeros((1 << 30,), np.uint8)
    array[1 << 29] = 1
    assert resident() - before < 1 << 21
