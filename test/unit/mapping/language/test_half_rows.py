"""HalfRows: float16 in and out, over the borders of chunks."""

from __future__ import annotations

import numpy as np
import pytest

from perception_contrast.mapping.language import half_rows
from perception_contrast.mapping.language.half_rows import HalfRows, all_finite, to_half, to_single


def test_every_finite_half_is_cast_exactly() -> None:
    halves = np.arange(65_536, dtype=np.uint16).view(np.float16)
    halves = halves[np.isfinite(halves)]
    singles = to_single(halves, np.empty(len(halves), np.float32))
    expected = halves.astype(np.float32)
    assert np.array_equal(singles.view(np.uint32), expected.view(np.uint32))


def test_singles_become_the_nearest_half() -> None:
    rng = np.random.default_rng(0)
    scales = np.array([[1e-7], [1e-5], [1e-3], [0.06], [1.0], [300.0]], np.float32)
    singles = np.tile(scales, (60, 1)) * rng.standard_normal((360, 50)).astype(np.float32)
    halves, expected = to_half(singles), singles.astype(np.float16)
    differing = halves != expected
    # Of two that are as near, NumPy takes the even one.
    assert differing.mean() < 0.001
    error = np.abs(halves.astype(np.float64) - singles)
    assert np.array_equal(error, np.abs(expected.astype(np.float64) - singles))


def test_halves_come_back_through_float32() -> None:
    halves = np.arange(65_536, dtype=np.uint16).view(np.float16)
    halves = halves[np.isfinite(halves)]
    assert np.array_equal(
        to_half(halves.astype(np.float32)[:, None])[:, 0].view(np.uint16), halves.view(np.uint16)
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_number_that_is_not_finite_is_found(bad: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(half_rows, "BLOCK_ROWS", 4)
    halves = np.full((9, 2), -65_504, np.float16)
    assert all_finite(halves) and all_finite(halves[:0])
    halves[8, 1] = bad
    assert not all_finite(halves)


def test_rows_of_several_chunks_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(half_rows, "CHUNK_ROWS", 8)
    monkeypatch.setattr(half_rows, "BLOCK_ROWS", 4)
    rows, table = np.array([17, 3, 8, 7, 0, 15]), HalfRows(3)
    table.reserve(18)
    table.write(np.arange(18), np.zeros((18, 3), np.float32))
    vectors = np.arange(18, dtype=np.float32).reshape(6, 3)
    table.write(rows, vectors)
    assert np.array_equal(table.read(rows), vectors)
    whole = np.zeros((18, 3), np.float32)
    for where, block in table.blocks(18):
        whole[where] = block
    assert np.array_equal(whole[rows], vectors)
    assert whole.any(axis=1).sum() == 6
