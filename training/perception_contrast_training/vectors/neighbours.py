"""Nearest neighbours of unit vectors, exactly, by blocks: two blocks and their products are in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.feature_grid import unit_vectors

BLOCK = 2048
Floats = NDArray[np.float32]
Tell = Callable[[int, int], None]


def distance(cosines: Any) -> Floats:
    """Euclidean distances of unit vectors, from their cosines."""
    return np.asarray(np.sqrt(np.maximum(2.0 - 2.0 * cosines, 0.0)), np.float32)


def units(vectors: Any, start: int = 0, stop: int | None = None) -> Floats:
    """Some rows as float32 unit vectors; stored as float16 they are a little shorter or longer."""
    return unit_vectors(np.asarray(vectors[start:stop], np.float32))


def nearest(
    vectors: Any, k: int, *, block: int = BLOCK, tell: Tell | None = None
) -> tuple[Floats, NDArray[np.int64]]:
    """The ``k`` nearest others of each vector: cosines (n, k), the nearest first, and their numbers."""
    count = len(vectors)
    k = min(k, count - 1)
    cosines = np.full((count, k), -np.inf, np.float32)
    numbers = np.zeros((count, k), np.int64)
    starts = range(0, count, block)
    for done, start in enumerate(starts, 1):
        rows = units(vectors, start, start + block)
        best, names = cosines[start : start + block], numbers[start : start + block]
        for other in starts:
            products = rows @ units(vectors, other, other + block).T
            if other == start:
                np.fill_diagonal(products, -np.inf)
            every = np.concatenate([best, products], axis=1)
            named = np.concatenate(
                [names, np.broadcast_to(np.arange(products.shape[1]) + other, products.shape)], axis=1
            )
            order = np.argpartition(-every, k - 1, axis=1)[:, :k] if k else np.zeros((len(rows), 0), int)
            best, names = np.take_along_axis(every, order, 1), np.take_along_axis(named, order, 1)
        order = np.argsort(-best, axis=1, kind="stable")
        cosines[start : start + block] = np.take_along_axis(best, order, 1)
        numbers[start : start + block] = np.take_along_axis(names, order, 1)
        if tell is not None:
            tell(done, len(starts))
    return cosines, numbers


def nearest_of(vectors: Any, known: NDArray[np.int64], *, block: int = BLOCK) -> Floats:
    """(n,) cosine of each vector with the nearest of those numbered ``known``; -1 where there are none."""
    found = np.full(len(vectors), -1.0, np.float32)
    for start in range(0, len(vectors), block):
        rows = units(vectors, start, start + block)
        best = found[start : start + block]
        for first in range(0, len(known), block):
            others = unit_vectors(np.asarray(vectors[known[first : first + block]], np.float32))
            np.maximum(best, (rows @ others.T).max(axis=1), out=best)
    return found
