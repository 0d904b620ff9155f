"""The vectors of one table in memory, kept in step with the file."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from perception_contrast.core.arrays import FloatArray
from perception_contrast.core.errors import SpaceError
from perception_contrast.memory.row_filters import SIGHTINGS
from perception_contrast.memory.vector_index import VectorIndex, best

_ROWS_AT_ONCE = 8192
_LEAST_NORM = 1e-12


class ObjectMeans(NamedTuple):
    """ids: (n,) int64, ascending. means: (n, c) float32 unit vectors."""

    ids: NDArray[np.int64]
    means: FloatArray


class VectorSearch:
    """Search among the vectors of sightings or keyframes; those of a space are read when it is asked for.

    Args:
        database: Of the memory; only used within its owner's lock.
        kind: SIGHTINGS or KEYFRAMES.
    """

    def __init__(self, database: sqlite3.Connection, kind: str) -> None:
        self._database, self._kind = database, kind
        self._indices: dict[str, VectorIndex] = {}
        self._sums: dict[str, dict[int, FloatArray]] = {}
        self._newest: dict[str, int] = {}
        self._deletions = -1

    def nearest(
        self, vector: FloatArray, space: str, ids: NDArray[np.int64] | None, limit: int
    ) -> dict[int, float]:
        """Ids and cosines of the best rows of a space, best first.

        Args:
            vector: (c,) unit vector.
            space: Of the vector.
            ids: Of the rows that may be found, each once; None for all.
            limit: Most results.

        Raises:
            SpaceError: There are rows with vectors, and all are of other spaces or lengths.
        """
        index = self._index(space, len(vector))
        if index is None:
            return {}
        if ids is None:
            held, scores = index.ids, index.scores(vector)
        else:
            held, scores = index.scores_of(ids, vector)
        return {int(held[row]): float(scores[row]) for row in best(scores, limit)}

    def object_means(self, space: str, channels: int) -> ObjectMeans:
        """Unit means of the vectors of each object's sightings.

        Raises:
            SpaceError: There are rows with vectors, and all are of other spaces or lengths.
        """
        index = self._index(space, channels)
        if index is None:
            return ObjectMeans(np.empty(0, np.int64), np.empty((0, channels), np.float32))
        sums = self._sums[space]
        ids = np.array(sorted(sums), np.int64)
        stacked = np.stack([sums[number] for number in ids])
        norms = np.linalg.norm(stacked, axis=1, keepdims=True)
        return ObjectMeans(ids, np.asarray(stacked / np.maximum(norms, _LEAST_NORM), np.float32))

    def _index(self, space: str, channels: int) -> VectorIndex | None:
        """The index of a space, up to the newest row; None where nothing has a vector."""
        deletions = self._database.execute("SELECT deletions FROM changes").fetchone()[0]
        if deletions != self._deletions:
            self._indices, self._sums, self._newest, self._deletions = {}, {}, {}, deletions
        self._read_new(space)
        index = self._indices.get(space)
        if index is None:
            self._require_no_other(space)
        elif index.channels != channels:
            raise SpaceError(
                f"a vector of {channels} numbers cannot be compared with the {index.channels} of space "
                f"'{space}'; encode the query with the model of that space"
            )
        return index

    def _read_new(self, space: str) -> None:
        of_objects = self._kind == SIGHTINGS
        group, tables = "0", f"{self._kind}_vectors v"
        if of_objects:
            group, tables = "s.object", f"{tables} CROSS JOIN sightings s ON s.id = v.id"
        rows = self._database.execute(
            f"SELECT v.id, v.vector, {group} FROM {tables} "
            "WHERE v.space = (SELECT id FROM spaces WHERE name = ?) AND v.id > ? ORDER BY v.id",
            (space, self._newest.get(space, 0)),
        )
        while some := rows.fetchmany(_ROWS_AT_ONCE):
            vectors = np.frombuffer(b"".join(row[1] for row in some), "<f2").reshape(len(some), -1)
            index = self._indices.setdefault(space, VectorIndex(vectors.shape[1]))
            index.add([row[0] for row in some], vectors)
            if of_objects:
                _add_sums(self._sums.setdefault(space, {}), [row[2] for row in some], vectors)
            self._newest[space] = some[-1][0]

    def _require_no_other(self, space: str) -> None:
        others = self._database.execute(
            f"SELECT name FROM spaces WHERE id IN (SELECT space FROM {self._kind}_vectors) ORDER BY name"
        ).fetchall()
        if others:
            names = ", ".join(f"'{row[0]}'" for row in others)
            raise SpaceError(
                f"what is remembered has vectors of {names}, which cannot be compared with those of "
                f"'{space}'; load that model, or renew the vectors with `perception-contrast map "
                "reembed NAME`"
            )


def _add_sums(sums: dict[int, FloatArray], objects: Sequence[int], vectors: NDArray[np.float16]) -> None:
    """Adds the vectors of each object to its sum."""
    ids, groups = np.unique(np.asarray(objects, np.int64), return_inverse=True)
    ones = np.ones(len(objects), np.float32)
    belongs = scipy.sparse.csr_array((ones, (groups, np.arange(len(objects)))), (len(ids), len(objects)))
    for number, added in zip(ids.tolist(), belongs @ vectors.astype(np.float32), strict=True):
        sums[number] = sums[number] + added if number in sums else added
