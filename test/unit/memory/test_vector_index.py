"""Exact search gives what a plain product gives."""

from __future__ import annotations

import numpy as np
import pytest

from perception_contrast.mapping.language import half_rows
from perception_contrast.memory.vector_index import VectorIndex, best


def filled(count: int, seed: int = 0) -> tuple[VectorIndex, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    vectors = generator.normal(size=(count, 6)).astype(np.float16)
    ids = np.cumsum(generator.integers(1, 4, count))
    index = VectorIndex(6)
    for part in np.array_split(np.arange(count), 5):
        index.add(ids[part], vectors[part])
    return index, ids, vectors.astype(np.float32)


@pytest.mark.parametrize("count", [0, 1, 50, 9000])
def test_scores_are_those_of_a_product(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(half_rows, "CHUNK_ROWS", 4096)
    index, ids, vectors = filled(count)
    wanted = np.arange(6, dtype=np.float32)
    np.testing.assert_allclose(index.scores(wanted), vectors @ wanted, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(index.ids, ids)


@pytest.mark.parametrize("share", [0.01, 0.9])
def test_scores_of_some_ids(share: float) -> None:
    index, ids, vectors = filled(3000)
    generator = np.random.default_rng(1)
    some = generator.permutation(ids[generator.random(3000) < share])
    wanted = np.linspace(-1, 1, 6).astype(np.float32)
    found, scores = index.scores_of(np.append(some, ids[-1] + 5), wanted)
    np.testing.assert_array_equal(found, np.sort(some))
    np.testing.assert_allclose(scores, (vectors @ wanted)[np.searchsorted(ids, found)], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("limit", "expected"), [(0, []), (2, [1, 2]), (3, [1, 2, 4]), (9, [1, 2, 4, 0, 3])])
def test_the_best_come_first_and_equals_in_their_order(limit: int, expected: list[int]) -> None:
    scores = np.array([0.5, 0.9, 0.9, 0.1, 0.7], np.float32)
    assert best(scores, limit).tolist() == expected
