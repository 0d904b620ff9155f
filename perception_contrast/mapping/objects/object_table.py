"""ObjectTable: boxes and vectors of all objects as arrays, for what has to look at all of them at once."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import FloatArray
from perception_contrast.mapping.objects.map_object import MapObject

_FIRST_ROWS = 64
_SAMPLE = 256


class ObjectTable:
    """Rows of objects in no order. Adding and removing one costs the same however many there are."""

    def __init__(self) -> None:
        self._rows: dict[int, int] = {}
        self._ids = np.zeros(_FIRST_ROWS, np.int64)
        # Column by column: comparing one with a number is what has to be fast.
        self._boxes = np.zeros((6, _FIRST_ROWS), np.float32)
        self._vectors: FloatArray | None = None

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def ids(self) -> NDArray[np.int64]:
        """(n,) ids in the order of the rows."""
        return self._ids[: len(self)]

    @property
    def low(self) -> FloatArray:
        """(n, 3) lowest corners, metres."""
        return self._boxes[:3, : len(self)].T

    @property
    def high(self) -> FloatArray:
        """(n, 3) highest corners, metres."""
        return self._boxes[3:, : len(self)].T

    def put(self, one: MapObject) -> None:
        """Adds an object, or renews its row."""
        row = self._rows.get(one.id)
        if row is None:
            row = len(self._rows)
            if row == len(self._ids):
                self._grow()
            self._rows[one.id] = row
            self._ids[row] = one.id
        self._boxes[:3, row], self._boxes[3:, row] = one.low, one.high
        self._put_vector(row, one.semantic)

    def _put_vector(self, row: int, vector: FloatArray | None) -> None:
        if self._vectors is None:
            if vector is None:
                return
            self._vectors = np.zeros((len(self._ids), len(vector)), np.float32)
        self._vectors[row] = 0.0 if vector is None else vector

    def remove(self, number: int) -> None:
        """Takes the object of that id out; the last row takes its place."""
        row = self._rows.pop(number)
        last = len(self._rows)
        if row != last:
            self._ids[row], self._boxes[:, row] = self._ids[last], self._boxes[:, last]
            if self._vectors is not None:
                self._vectors[row] = self._vectors[last]
            self._rows[int(self._ids[row])] = row

    def meeting(self, low: FloatArray, high: FloatArray, slack: float) -> list[int]:
        """Ids of the boxes that meet the box from ``low`` to ``high`` (3,), within ``slack`` metres."""
        boxes = self._boxes[:, : len(self)]
        apart = np.zeros(len(self), bool)
        for axis in range(3):
            apart |= boxes[axis] > high[axis] + slack
            apart |= boxes[axis + 3] < low[axis] - slack
        return [int(number) for number in self.ids[~apart]]

    def some_vectors(self, without: int) -> FloatArray:
        """(m, c) vectors of at most a few hundred objects other than the one of that id."""
        if self._vectors is None:
            return np.zeros((0, 0), np.float32)
        rows = np.arange(min(len(self), _SAMPLE))
        rows = rows[rows != self._rows[without]]
        vectors = self._vectors[rows]
        return np.asarray(vectors[vectors.any(axis=1)])

    def scores(self, texts: FloatArray) -> FloatArray:
        """Cosines (t, n) of unit vectors (t, c) with each row; 0 for an object without a vector."""
        if self._vectors is None:
            return np.zeros((len(texts), len(self)), np.float32)
        return np.asarray(texts @ self._vectors[: len(self)].T, np.float32)

    def _grow(self) -> None:
        self._ids = np.concatenate([self._ids, np.zeros_like(self._ids)])
        self._boxes = np.concatenate([self._boxes, np.zeros_like(self._boxes)], axis=1)
        if self._vectors is not None:
            self._vectors = np.concatenate([self._vectors, np.zeros_like(self._vectors)])

    @classmethod
    def of(cls, objects: Iterable[MapObject]) -> ObjectTable:
        """The table of some objects."""
        table = cls()
        for one in objects:
            table.put(one)
        return table
