"""KeyIndex: from 64-bit keys to row numbers, as sorted runs of bounded length.

A look-up is a binary search among the runs, then within one. An insertion rewrites the runs that it falls
into and splits those that become too long, so it costs the same however many keys there are.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from perception_contrast.mapping.language.voxel_keys import PackedKeys

Rows = NDArray[np.int64]

ENTRY_BYTES = 12
# Keys of a run: rewriting one takes a tenth of a millisecond.
MOST_KEYS = 16_384
# Removed keys are taken out of a run once they are this share of it.
DEAD_SHARE = 8


class _Run:
    """Sorted keys (n,) int64 and their rows (n,) int32; a row of -1 marks a key that was removed."""

    def __init__(self, keys: PackedKeys, rows: NDArray[np.int32]) -> None:
        self.keys = keys
        self.rows = rows
        self._dead = 0

    def find(self, keys: PackedKeys) -> tuple[Rows, NDArray[np.bool_]]:
        """(place of each key, whether the run has it at that place)."""
        places = np.searchsorted(self.keys, keys)
        if not len(self.keys):
            return places, np.zeros(len(keys), bool)
        places = np.minimum(places, len(self.keys) - 1)
        return places, self.keys[places] == keys

    def merged(self, keys: PackedKeys, rows: NDArray[np.int32]) -> _Run:
        """Without what was removed, and with other sorted keys, which the run has not."""
        living = self._living()
        places = np.searchsorted(living.keys, keys) + np.arange(len(keys))
        old = np.ones(len(living.keys) + len(keys), bool)
        old[places] = False
        merged_keys, merged_rows = np.empty(len(old), np.int64), np.empty(len(old), np.int32)
        merged_keys[places], merged_rows[places] = keys, rows
        merged_keys[old], merged_rows[old] = living.keys, living.rows
        return _Run(merged_keys, merged_rows)

    def without(self, keys: PackedKeys) -> _Run:
        """The run where keys are marked as removed; those that it has not are left alone."""
        places, there = self.find(keys)
        places = places[there]
        self._dead += int((self.rows[places] >= 0).sum())
        self.rows[places] = -1
        return self._living() if DEAD_SHARE * self._dead > len(self.keys) else self

    def parts(self) -> list[_Run]:
        """The run, in halves where it is too long."""
        count = -(-len(self.keys) // MOST_KEYS)
        if count <= 1:
            return [self]
        halves = zip(np.array_split(self.keys, 2 * count), np.array_split(self.rows, 2 * count), strict=True)
        # Copies, so that no part keeps the memory of the others.
        return [_Run(keys.copy(), rows.copy()) for keys, rows in halves]

    def _living(self) -> _Run:
        if not self._dead:
            return self
        living = self.rows >= 0
        return _Run(self.keys[living], self.rows[living])


class KeyIndex:
    """Rows by key. Every key is known at most once."""

    def __init__(self) -> None:
        self._become([_Run(np.empty(0, np.int64), np.empty(0, np.int32))])

    @property
    def bytes(self) -> int:
        """Of its arrays."""
        return ENTRY_BYTES * sum(len(run.keys) for run in self._runs)

    def find(self, keys: PackedKeys) -> Rows:
        """Rows (n,) int64 of keys (n,), -1 for those that are not known."""
        order = np.argsort(keys)
        ordered, found = keys[order], np.full(len(keys), -1, np.int64)
        for number, part in self._parts(ordered):
            run = self._runs[number]
            places, there = run.find(ordered[part])
            found[order[part][there]] = run.rows[places[there]]
        return found

    def within(self, starts: PackedKeys, ends: PackedKeys) -> Rows:
        """Rows (n,) of all keys in some ranges, in no order.

        Args:
            starts: (m,) first key of each range, rising; the ranges do not overlap.
            ends: (m,) the number behind the last key of each.
        """
        first = np.searchsorted(self._starts, starts, side="right")
        last = np.searchsorted(self._starts, ends - 1, side="right")
        found, touched = [np.empty(0, np.int32)], np.unique(np.concatenate([first, last]))
        if (last - first > 1).any():
            touched = np.arange(touched[0], touched[-1] + 1)
        for number in touched:
            run, meets = self._runs[number], (first <= number) & (last >= number)
            begins, stops = (np.searchsorted(run.keys, edges[meets]) for edges in (starts, ends))
            found += [run.rows[begin:stop] for begin, stop in zip(begins, stops, strict=True) if stop > begin]
        rows = np.concatenate(found)
        return rows[rows >= 0].astype(np.int64)

    def add(self, keys: PackedKeys, rows: Rows) -> None:
        """Adds unique keys (n,) that are not known, with their rows (n,)."""
        order = np.argsort(keys)
        ordered, numbers = keys[order], rows[order].astype(np.int32)
        runs: list[_Run] = []
        done = 0
        for number, part in self._parts(ordered):
            runs += self._runs[done:number]
            runs += self._runs[number].merged(ordered[part], numbers[part]).parts()
            done = number + 1
        self._become(runs + self._runs[done:])

    def remove(self, keys: PackedKeys) -> None:
        """Removes keys (n,); those that are not known are left alone."""
        ordered = np.sort(keys)
        for number, part in self._parts(ordered):
            self._runs[number] = self._runs[number].without(ordered[part])
        self._become([run for run in self._runs if len(run.keys)] or self._runs[:1])

    def _become(self, runs: list[_Run]) -> None:
        self._runs = runs
        # The first run takes all that lies before the second.
        self._starts = np.array([run.keys[0] for run in runs[1:]], np.int64)

    def _parts(self, ordered: PackedKeys) -> Iterator[tuple[int, slice]]:
        """Numbers of the runs that sorted keys (n,) fall into, rising, and which keys these are."""
        edges = np.concatenate([[0], np.searchsorted(ordered, self._starts), [len(ordered)]])
        for number in np.flatnonzero(np.diff(edges)):
            yield int(number), slice(int(edges[number]), int(edges[number + 1]))
