"""Exact search among many unit vectors, kept as float16 in memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import FloatArray
from perception_contrast.mapping.language.half_rows import HalfArray, HalfRows

_LEAST_IDS = 4096
_GROWTH = 1.5


class VectorIndex:
    """Rows of (id, vector), the ids ascending.

    Args:
        channels: Numbers of a vector.
    """

    def __init__(self, channels: int) -> None:
        self.channels = channels
        self._rows = HalfRows(channels)
        self._ids = np.empty(0, np.int64)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def ids(self) -> NDArray[np.int64]:
        """(n,) of all rows."""
        return self._ids[: self._count]

    def add(self, ids: Sequence[int] | NDArray[np.int64], vectors: HalfArray | FloatArray) -> None:
        """Appends rows.

        Args:
            ids: (n,) ascending, and larger than all before.
            vectors: (n, channels), finite.
        """
        end = self._count + len(ids)
        if end > len(self._ids):
            self._ids = np.resize(self._ids, max(round(_GROWTH * end), _LEAST_IDS))
        self._ids[self._count : end] = ids
        self._rows.reserve(end)
        self._rows.write(np.arange(self._count, end), vectors)
        self._count = end

    def scores(self, vector: FloatArray) -> FloatArray:
        """(n,) float32 dot products of all rows with a vector (channels,)."""
        scores, wanted = np.empty(self._count, np.float32), np.ascontiguousarray(vector, np.float32)
        for rows, vectors in self._rows.blocks(self._count):
            np.dot(vectors, wanted, out=scores[rows])
        return scores

    def scores_of(self, ids: NDArray[np.int64], vector: FloatArray) -> tuple[NDArray[np.int64], FloatArray]:
        """Those of some ids that have a row, and their dot products.

        Args:
            ids: (m,) in any order, each once.
            vector: (channels,).

        Returns:
            (k,) ids ascending, and (k,) float32.
        """
        rows = np.flatnonzero(np.isin(self.ids, ids, assume_unique=True))
        # Reading all in order costs less than picking most of them.
        if len(rows) * 2 > self._count:
            return self.ids[rows], self.scores(vector)[rows]
        return self.ids[rows], self._rows.read(rows) @ np.ascontiguousarray(vector, np.float32)


def best(scores: FloatArray, limit: int) -> NDArray[np.int64]:
    """Indices of the largest scores, best first; equal ones in their order."""
    if limit <= 0:
        return np.empty(0, np.int64)
    kept = np.sort(np.argpartition(-scores, limit)[:limit]) if limit < len(scores) else np.arange(len(scores))
    return np.asarray(kept[np.argsort(-scores[kept], kind="stable")], np.int64)
