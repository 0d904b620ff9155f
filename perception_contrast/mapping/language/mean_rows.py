"""MeanRows: running means of vectors by 64-bit key, within a limit of memory.

The cost of an addition does not grow with the number of keys. What the limit leaves no room for goes by
value: seldom seen and long ago first. Nothing goes while there is room.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import FloatArray
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.feature_grid import unit_vectors
from perception_contrast.mapping.language.half_rows import BLOCK_ROWS, HalfArray, HalfRows
from perception_contrast.mapping.language.key_index import DEAD_SHARE, ENTRY_BYTES, KeyIndex, Rows
from perception_contrast.mapping.language.lazy_memory import lazy_zeros
from perception_contrast.mapping.language.voxel_keys import PackedKeys

_MOST_THROUGH = int(np.iinfo(np.uint8).max)
MOST_HITS = int(np.iinfo(np.uint16).max)
# A row that was not seen for so long counts half.
HALF_VALUE_NS = 60 * 10**9
# Room is made for at least this share of all rows at a time, so that the search for them costs little a row.
ROOM_SHARE = 64
# Columns are that long from the start: they grow by a copy, which takes long then.
RESERVED_ROWS = 1 << 22

_COLUMNS = {
    "keys": np.int64,
    "weights": np.float32,
    "hits": np.uint16,
    "last_seen": np.int64,
    "submap": np.int32,
    "changed": np.bool_,
    # Frames running that saw behind it.
    "through": np.uint8,
}
COLUMN_BYTES = sum(np.dtype(kind).itemsize for kind in _COLUMNS.values())


class MeanRows:
    """Running means (channels,) by key.

    Args:
        channels: Of a vector.
        max_bytes: Limit of memory.
        weight_cap: A mean weighs at most so many points, so that what changed shows in time.

    Raises:
        PerceptionError: The limit leaves room for no row.
    """

    def __init__(self, channels: int, *, max_bytes: int, weight_cap: float) -> None:
        self.channels, self.max_bytes, self.weight_cap = channels, max_bytes, weight_cap
        self.row_bytes = 2 * channels + COLUMN_BYTES
        # Entries of the index that were removed stay for a while.
        indexed = ENTRY_BYTES * DEAD_SHARE / (DEAD_SHARE - 1)
        self.capacity = int(max_bytes // (self.row_bytes + indexed))
        if self.capacity < 1:
            raise PerceptionError(
                f"a limit of {max_bytes} bytes holds no vector of {channels} channels; raise max_bytes"
            )
        self.evicted = 0
        self._index = KeyIndex()
        self._vectors = HalfRows(channels)
        reserved = (min(self.capacity, RESERVED_ROWS),)
        self._columns: dict[str, NDArray[Any]] = {
            name: lazy_zeros(reserved, kind) for name, kind in _COLUMNS.items()
        }
        self._used = 0
        self._free: list[Rows] = []
        self._live = 0
        self._removed: list[PackedKeys] | None = None

    def __len__(self) -> int:
        return self._live

    @property
    def bytes(self) -> int:
        """Memory in use: of all rows that were ever filled, and of the index."""
        return self._used * self.row_bytes + self._index.bytes

    def column(self, name: str) -> NDArray[Any]:
        """A view of a column over all row numbers: keys, weights, hits, last_seen or submap."""
        return self._columns[name][: self._used]

    def live_rows(self) -> Rows:
        """Row numbers in use (n,), rising."""
        return np.flatnonzero(self._columns["hits"][: self._used])

    def find(self, keys: PackedKeys) -> Rows:
        """Rows (n,) of keys (n,), -1 for those that are not known."""
        return self._index.find(keys)

    def within(self, starts: PackedKeys, ends: PackedKeys) -> Rows:
        """Rows of all keys in some ranges; as of ``KeyIndex.within``."""
        return self._index.within(starts, ends)

    def see_through(self, behind: Rows, seen: Rows) -> NDArray[np.uint8]:
        """Counts (n,) of the frames running that saw behind the rows (n,); those ``seen`` (m,) begin anew."""
        through = self._columns["through"]
        through[seen] = 0
        through[behind] = np.minimum(through[behind], _MOST_THROUGH - 1) + np.uint8(1)
        return through[behind]

    def read(self, rows: Rows) -> FloatArray:
        """Means (n, channels) float32 of rows (n,)."""
        return self._vectors.read(rows)

    def read_half(self, rows: Rows, room: HalfArray | None = None) -> HalfArray:
        """Means (n, channels) float16 of rows (n,); ``room`` as of ``HalfRows.read_half``."""
        return self._vectors.read_half(rows, room)

    def add(
        self, keys: PackedKeys, vectors: FloatArray, weights: FloatArray, stamp: int, submap: int
    ) -> None:
        """Adds one frame's means.

        Args:
            keys: (n,), each once.
            vectors: (n, channels) float32.
            weights: (n,) float32, how much each counts.
            stamp: Nanoseconds.
            submap: Its number.

        Raises:
            PerceptionError: Shapes do not fit, or a number is not finite.
        """
        self._check(keys, vectors, weights)
        rows = self._index.find(keys)
        known = rows >= 0
        self._renew(rows[known], vectors[known], weights[known], stamp, submap)
        new = np.flatnonzero(~known)
        if len(new) > self.capacity:
            # Not even an empty table would hold them.
            self.evicted += len(new) - self.capacity
            new = new[np.argsort(-weights[new], kind="stable")[: self.capacity]]
        if not len(new):
            return
        self._make_room(len(new), stamp)
        columns = {
            "weights": np.minimum(weights[new], self.weight_cap),
            "hits": np.ones(len(new), np.uint16),
            "last_seen": np.full(len(new), stamp, np.int64),
            "submap": np.full(len(new), submap, np.int32),
            "changed": np.ones(len(new), bool),
        }
        self._insert(keys[new], vectors[new], columns)

    def load(self, keys: PackedKeys, vectors: HalfArray, columns: dict[str, NDArray[Any]]) -> None:
        """Fills an empty table: unique keys (n,), vectors (n, channels), and the columns weights, hits,
        last_seen and submap (n,). Nothing of it counts as changed; what has no room is counted as evicted.
        """
        keep: NDArray[np.int64] | slice = slice(None)
        if len(keys) > self.capacity:
            seen = columns["last_seen"]
            value = _value(columns["hits"], seen, int(seen.max()))
            keep = np.sort(np.argsort(-value, kind="stable")[: self.capacity])
            self.evicted += len(keys) - self.capacity
        kept = {name: column[keep] for name, column in columns.items()}
        self._insert(keys[keep], vectors[keep], {**kept, "changed": np.zeros(len(keys[keep]), bool)})

    def remove(self, rows: Rows) -> None:
        """Removes rows (n,) that are in use, each once; their vectors are overwritten."""
        keys = self._columns["keys"][rows]
        self._index.remove(keys)
        self._note_removed(keys)
        self._release(rows)

    def rekey(self, rows: Rows, keys: PackedKeys) -> None:
        """Gives rows (n,) other keys (n,). Rows that come to the same key become one: their weighted mean."""
        columns = self._columns
        before = columns["keys"][rows]
        self._note_removed(before)
        self._index.remove(before)
        columns["keys"][rows], columns["changed"][rows] = keys, True
        # The heaviest of those that meet comes first and takes the others in, one of each group at a time.
        order = np.lexsort((-columns["weights"][rows], keys))
        rows, keys = rows[order], keys[order]
        first = np.diff(keys, prepend=keys[:1] - 1) != 0
        starts, group = np.flatnonzero(first), np.cumsum(first) - 1
        rank, heaviest = np.arange(len(rows)) - starts[group], rows[first]
        for number in range(1, int(rank.max(initial=0)) + 1):
            chosen = rank == number
            self._unite(heaviest[group[chosen]], rows[chosen])
        self._release(rows[~first])
        there = self._index.find(keys[first])
        known = there >= 0
        self._unite(there[known], heaviest[known])
        self._release(heaviest[known])
        self._index.add(keys[first][~known], heaviest[~known])

    def scores(self, texts: FloatArray) -> FloatArray:
        """Cosines (t, n) float32 of vectors (t, channels) with all rows in use, in order of ``live_rows``."""
        texts = unit_vectors(np.atleast_2d(texts))
        scores = np.zeros((len(texts), self._used), np.float32)
        for rows, block in self._vectors.blocks(self._used):
            norms = np.sqrt(np.einsum("ij,ij->i", block, block))
            np.matmul(texts, block.T, out=scores[:, rows])
            scores[:, rows] /= np.maximum(norms, 1e-12)
        return scores if self._live == self._used else scores[:, self.live_rows()]

    def take_changed(self) -> tuple[Rows, PackedKeys]:
        """Rows that are new or changed since the last call, and keys that were removed since then.

        Removed keys are noted from the first call on. A key may be in both: it was removed first.
        """
        changed = self._columns["changed"][: self._used]
        rows = np.flatnonzero(changed)
        changed[:] = False
        removed = np.unique(np.concatenate([np.empty(0, np.int64), *(self._removed or ())]))
        self._removed = []
        return rows, removed

    def _check(self, keys: PackedKeys, vectors: FloatArray, weights: FloatArray) -> None:
        if vectors.shape != (len(keys), self.channels) or weights.shape != (len(keys),):
            raise PerceptionError(
                f"vectors of shape {vectors.shape} for {len(keys)} voxels do not fit a map of "
                f"{self.channels} channels; use the model that the map was made with, or start a new map"
            )
        # A sum is finite where all its numbers are, and costs less than a look at each.
        if not (np.isfinite(vectors.sum()) and np.isfinite(weights.sum())):
            raise PerceptionError("a vector of a voxel is not finite; leave out such vectors before")

    def _renew(self, rows: Rows, vectors: FloatArray, weights: FloatArray, stamp: int, submap: int) -> None:
        columns = self._columns
        before = columns["weights"][rows]
        total = before + weights
        share = (weights / np.maximum(total, 1e-12))[:, None]
        mean = self._vectors.read(rows)
        mean += share * (vectors - mean)
        self._vectors.write(rows, mean)
        columns["weights"][rows] = np.minimum(total, self.weight_cap)
        columns["hits"][rows] = np.minimum(columns["hits"][rows], MOST_HITS - 1) + np.uint16(1)
        columns["last_seen"][rows] = np.maximum(columns["last_seen"][rows], stamp)
        columns["submap"][rows] = submap
        columns["changed"][rows] = True
        columns["through"][rows] = 0

    def _insert(
        self, keys: PackedKeys, vectors: FloatArray | HalfArray, columns: dict[str, NDArray[Any]]
    ) -> None:
        rows = self._allocate(len(keys))
        self._vectors.write(rows, vectors)
        self._columns["keys"][rows] = keys
        for name, column in columns.items():
            self._columns[name][rows] = column
        self._index.add(keys, rows)
        self._live += len(rows)

    def _unite(self, into: Rows, rows: Rows) -> None:
        """Rows (n,) become part of the rows ``into`` (n,), each of which is there once."""
        columns = self._columns
        before, more = columns["weights"][into], columns["weights"][rows]
        total = np.maximum(before + more, 1e-12)
        mean = self._vectors.read(into) * (before / total)[:, None]
        mean += self._vectors.read(rows) * (more / total)[:, None]
        self._vectors.write(into, mean)
        columns["weights"][into] = np.minimum(total, self.weight_cap)
        hits = columns["hits"][into].astype(np.int64) + columns["hits"][rows]
        columns["hits"][into] = np.minimum(hits, MOST_HITS)
        for name in ("last_seen", "submap"):
            columns[name][into] = np.maximum(columns[name][into], columns[name][rows])
        columns["changed"][into] = True

    def _allocate(self, count: int) -> Rows:
        """Row numbers for ``count`` new rows: free ones first."""
        taken: list[Rows] = []
        while count and self._free:
            free = self._free.pop()
            taken.append(free[:count])
            if len(free) > count:
                self._free.append(free[count:])
            count -= len(taken[-1])
        taken.append(np.arange(self._used, self._used + count))
        self._reserve(self._used + count)
        self._used += count
        return np.concatenate(taken)

    def _reserve(self, rows: int) -> None:
        self._vectors.reserve(rows)
        if rows > len(self._columns["keys"]):
            length = max(rows, min(2 * len(self._columns["keys"]), self.capacity))
            for name, column in self._columns.items():
                longer = lazy_zeros((length,), column.dtype)
                longer[: self._used] = column[: self._used]
                self._columns[name] = longer

    def _release(self, rows: Rows) -> None:
        self._vectors.write(rows, np.zeros((len(rows), self.channels), np.float16))
        self._columns["hits"][rows] = self._columns["through"][rows] = 0
        self._columns["changed"][rows] = False
        self._live -= len(rows)
        if len(rows):
            self._free.append(rows.copy())

    def _make_room(self, needed: int, stamp: int) -> None:
        """Evicts the least valuable rows where ``needed`` new ones would pass the limit."""
        lacking = needed - (self.capacity - self._live)
        if lacking <= 0:
            return
        count = min(self._live, max(lacking, self.capacity // ROOM_SHARE))
        hits, last_seen = self._columns["hits"], self._columns["last_seen"]
        values = np.empty(self._used, np.float32)
        # A part at a time, in a cache: several times as fast.
        for start in range(0, self._used, BLOCK_ROWS):
            part = slice(start, min(start + BLOCK_ROWS, self._used))
            values[part] = _value(hits[part], last_seen[part], stamp)
            values[part][hits[part] == 0] = np.inf
        self.remove(np.argpartition(values, count - 1)[:count])
        self.evicted += count

    def _note_removed(self, keys: PackedKeys) -> None:
        if self._removed is not None:
            self._removed.append(keys.copy())


def _value(hits: NDArray[np.uint16], last_seen: NDArray[np.int64], now: int) -> FloatArray:
    """What rows (n,) are worth: more for each frame that saw them, less the longer ago the last one was."""
    age = np.maximum(now - last_seen, 0).astype(np.float32) / HALF_VALUE_NS
    return np.asarray((1.0 + hits.astype(np.float32)) / (1.0 + age), np.float32)
