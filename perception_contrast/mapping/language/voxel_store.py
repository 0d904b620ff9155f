"""VoxelStore: the language layer of the map, a running mean vector for each voxel that was seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import Float64Array, FloatArray
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.rigid_transform import RigidTransform
from perception_contrast.mapping.language.half_rows import HalfArray, all_finite
from perception_contrast.mapping.language.key_index import Rows
from perception_contrast.mapping.language.mean_rows import MOST_HITS, MeanRows
from perception_contrast.mapping.language.voxel_keys import (
    BLOCK,
    VoxelKeys,
    block_corners,
    block_of,
    block_ranges,
    centres,
    pack,
    reachable,
    unpack,
    voxel_keys,
)

StoreArrays: TypeAlias = dict[str, NDArray[Any]]
"""Arrays by name, all of one length n: ``keys`` (n, 3) int32, ``vectors`` (n, c) float16, ``weights`` (n,)
float32, ``hits`` (n,) uint16, ``last_seen`` (n,) int64 nanoseconds, ``submap`` (n,) int32."""

VOXEL_SIZE = 0.05
# About twenty frames of a voxel that six points of each frame fall into.
WEIGHT_CAP = 128.0
MAX_BYTES = 1 << 30
# Of the memory for a copy: what is added while it is got.
_ROOM, _ROOM_ROWS = 1.02, 16_384
_COLUMNS = {"weights": np.float32, "hits": np.uint16, "last_seen": np.int64, "submap": np.int32}


class VoxelStore:
    """Voxels by key. It is not thread-safe.

    A frame costs the same however large the map is. Where ``max_bytes`` leaves no room for a new voxel, the
    least valuable ones leave: those that few frames saw, long ago. While there is room none leaves by itself.

    Args:
        channels: Of a vector.
        size: Edge of a voxel in metres.
        max_bytes: Limit of memory.
        weight_cap: A voxel's mean weighs at most so many points, so that what changed shows in time.

    Raises:
        PerceptionError: The limit leaves room for no voxel.
    """

    def __init__(
        self,
        channels: int,
        size: float = VOXEL_SIZE,
        *,
        max_bytes: int = MAX_BYTES,
        weight_cap: float = WEIGHT_CAP,
    ) -> None:
        self.size = size
        self._means = MeanRows(channels, max_bytes=max_bytes, weight_cap=weight_cap)
        # Packed keys count from the first voxel, so that maps in world-wide coordinates fit too.
        self._origin: VoxelKeys | None = None

    def __len__(self) -> int:
        return len(self._means)

    @property
    def channels(self) -> int:
        """Of a vector."""
        return self._means.channels

    @property
    def bytes(self) -> int:
        """Memory in use, at most ``max_bytes``."""
        return self._means.bytes

    @property
    def max_bytes(self) -> int:
        """The limit of memory."""
        return self._means.max_bytes

    @property
    def capacity(self) -> int:
        """Voxels that the limit of memory has room for."""
        return self._means.capacity

    @property
    def evicted(self) -> int:
        """Voxels so far that the limit of memory left no room for."""
        return self._means.evicted

    def add(
        self, keys: VoxelKeys, vectors: FloatArray, counts: FloatArray, stamp: int, submap: int = 0
    ) -> None:
        """Adds one frame.

        Args:
            keys: (n, 3), each once.
            vectors: (n, c) float32, means of the unit vectors of the points in each voxel.
            counts: (n,) points in each voxel.
            stamp: Nanoseconds.
            submap: Number of the submap that the frame belongs to.

        Raises:
            PerceptionError: The vectors have other channels or are not finite, or a voxel is tens of
                kilometres away from the first one.
        """
        if len(keys):
            packed = self._pack(keys)
            self._means.add(packed, vectors, np.asarray(counts, np.float32), stamp, submap)

    def rows(self, keys: VoxelKeys) -> Rows:
        """Rows (n,) of keys (n, 3), -1 for voxels that are not known."""
        found = np.full(len(keys), -1, np.int64)
        if self._origin is not None:
            near = reachable(keys, self._origin)
            found[near] = self._means.find(pack(keys[near], self._origin))
        return found

    def live_rows(self) -> Rows:
        """Rows (n,) of all voxels, rising; they stay valid until the next ``add``, ``remove`` or ``move``."""
        return self._means.live_rows()

    def blocks_around(self, low: Float64Array, high: Float64Array) -> tuple[NDArray[np.int64], Float64Array]:
        """All blocks of voxels that meet a box, those without a voxel too.

        Args:
            low: (3,) metres.
            high: (3,) metres.

        Returns:
            Blocks (n, 3), and their middles (n, 3) in metres. None before the first voxel.
        """
        if self._origin is None:
            return np.empty((0, 3), np.int64), np.empty((0, 3))
        corners = block_of(voxel_keys(np.stack([low, high]), self.size), self._origin)
        axes = [np.arange(begin, end + 1, dtype=np.int64) for begin, end in corners.T]
        blocks: NDArray[np.int64] = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
        middles = (block_corners(blocks, self._origin) + BLOCK / 2) * self.size
        return blocks, np.asarray(middles, np.float64)

    def rows_of_blocks(self, blocks: NDArray[np.int64]) -> Rows:
        """Rows of all voxels of blocks (n, 3), in no order; what it costs does not grow with the map."""
        return self._means.within(*block_ranges(blocks))

    def see_through(self, behind: Rows, seen: Rows) -> NDArray[np.uint8]:
        """Notes what one frame says of voxels.

        Args:
            behind: (n,) rows whose voxels the frame sees behind.
            seen: (m,) rows whose voxels it sees.

        Returns:
            For each of ``behind`` the frames running that saw behind it, at most 255; the voxel being seen
            begins the count anew.
        """
        return self._means.see_through(behind, seen)

    def keys(self, rows: Rows | None = None) -> VoxelKeys:
        """Keys (n, 3) of rows (n,), of all voxels without them."""
        packed = self._means.column("keys")[self.live_rows() if rows is None else rows]
        return self._unpack(packed)

    def positions(self, rows: Rows | None = None) -> FloatArray:
        """Centres (n, 3) float32 in metres of rows (n,), of all voxels without them."""
        return centres(self.keys(rows), self.size)

    def vectors(self, rows: Rows) -> FloatArray:
        """Mean vectors (n, c) float32 of rows (n,); their length is at most 1."""
        return self._means.read(rows)

    @property
    def hits(self) -> NDArray[np.uint16]:
        """Frames that saw each voxel, at most 65,535; by row, 0 in rows that are not in use."""
        return self._column("hits")

    @property
    def weights(self) -> FloatArray:
        """Points that each voxel's mean weighs; by row."""
        return self._column("weights")

    @property
    def last_seen(self) -> NDArray[np.int64]:
        """Stamps in nanoseconds of the last frame that saw each voxel; by row."""
        return self._column("last_seen")

    @property
    def submap(self) -> NDArray[np.int32]:
        """Numbers of the submap that saw each voxel last; by row."""
        return self._column("submap")

    def scores(self, texts: FloatArray) -> FloatArray:
        """Cosines (t, n) float32 of vectors (t, c) with all voxels, in the order of ``live_rows``."""
        return self._means.scores(texts)

    def remove(self, rows: Rows) -> None:
        """Removes voxels; their rows serve new ones, and nothing of their vectors stays in memory."""
        self._means.remove(np.unique(rows))

    def forget_box(self, low: FloatArray | Float64Array, high: FloatArray | Float64Array) -> int:
        """Removes the voxels with centres between the corners ``low`` and ``high`` (3,); says how many."""
        rows = self.live_rows()
        positions = self.positions(rows)
        inside = ((positions >= np.asarray(low)) & (positions <= np.asarray(high))).all(axis=1)
        self.remove(rows[inside])
        return int(inside.sum())

    def move(self, moves: Mapping[int, RigidTransform]) -> None:
        """Moves the voxels of each submap by its ``new_map_from_old_map``.

        Voxels that come to the same place become one: their weighted mean.
        """
        rows = self.live_rows()
        submaps = self.submap[rows]
        keys = self.keys(rows)
        moved = np.zeros(len(rows), bool)
        for number, transform in moves.items():
            which = submaps == number
            points = (keys[which] + 0.5) * self.size
            keys[which] = voxel_keys(transform.apply(points), self.size)
            moved |= which
        self.rekey(rows[moved], keys[moved])

    def rekey(self, rows: Rows, keys: VoxelKeys) -> None:
        """Gives rows (n,) other keys (n, 3). Rows that come to one key become one: their weighted mean.

        Raises:
            PerceptionError: As of ``add``, of a key that is out of reach.
        """
        if len(rows):
            self._means.rekey(rows, self._pack(keys))

    def arrays(self, room: HalfArray | None = None) -> StoreArrays:
        """All voxels, as copies.

        Args:
            room: Of ``room``, which makes this several times as fast; the vectors lie in it then.
        """
        return self._arrays(self.live_rows(), room)

    def room(self) -> HalfArray:
        """Memory for the vectors of all voxels and some more, which the system has given already.

        To get it takes most of the time of ``arrays``; and this may run beside ``add``.
        """
        room = np.empty((round(_ROOM * len(self)) + _ROOM_ROWS, self.channels), np.float16)
        # A part at a time: other threads go on in between.
        for start in range(0, len(room), _ROOM_ROWS):
            room[start : start + _ROOM_ROWS] = 0
        return room

    @classmethod
    def of_arrays(
        cls,
        arrays: Mapping[str, NDArray[Any]],
        size: float = VOXEL_SIZE,
        *,
        max_bytes: int = MAX_BYTES,
        weight_cap: float = WEIGHT_CAP,
    ) -> VoxelStore:
        """The store of ``arrays``. None of its voxels counts as changed.

        Where the limit has no room for all, the least valuable ones are left out and counted as evicted.

        Raises:
            PerceptionError: An array is missing, has another length, or has numbers that are none of a store.
        """
        keys, vectors = _checked(arrays)
        store = cls(vectors.shape[1], size, max_bytes=max_bytes, weight_cap=weight_cap)
        if len(keys):
            columns = {name: np.asarray(arrays[name], kind) for name, kind in _COLUMNS.items()}
            packed = store._pack(keys)
            if len(np.unique(packed)) != len(packed):
                raise PerceptionError("a voxel is there twice; the map is damaged")
            store._means.load(packed, vectors, columns)
        return store

    def take_changed(self) -> StoreArrays:
        """``arrays`` of the voxels that are new or changed since the last call, and ``removed`` (m, 3) int32:
        keys that are gone since then.

        Who repeats the changes removes first: a key may be in both. The first call gives all that was added
        since the store was made or loaded, and removed keys are noted from then on, so that a map without a
        journal keeps no list of them.
        """
        rows, removed = self._means.take_changed()
        return self._arrays(rows) | {"removed": self._unpack(removed)}

    def _arrays(self, rows: Rows, room: HalfArray | None = None) -> StoreArrays:
        columns = {name: self._means.column(name)[rows] for name in _COLUMNS}
        return {"keys": self.keys(rows), "vectors": self._means.read_half(rows, room), **columns}

    def _column(self, name: str) -> NDArray[Any]:
        view = self._means.column(name).view()
        view.flags.writeable = False
        return view

    def _pack(self, keys: VoxelKeys) -> NDArray[np.int64]:
        if self._origin is None:
            self._origin = np.array(keys[0], np.int32)
        return pack(keys, self._origin)

    def _unpack(self, packed: NDArray[np.int64]) -> VoxelKeys:
        if self._origin is None:
            return np.empty((0, 3), np.int32)
        return unpack(packed, self._origin)


def _checked(arrays: Mapping[str, NDArray[Any]]) -> tuple[VoxelKeys, NDArray[np.float16]]:
    """The keys and vectors of arrays that make a store."""
    missing = [name for name in ("keys", "vectors", *_COLUMNS) if name not in arrays]
    if missing:
        raise PerceptionError(f"the voxels lack the array '{missing[0]}'; the map is damaged")
    keys = np.asarray(arrays["keys"], np.int32)
    vectors = np.asarray(arrays["vectors"], np.float16)
    if keys.shape != (len(keys), 3) or vectors.ndim != 2:
        raise PerceptionError(
            f"the voxels have keys of shape {keys.shape} and vectors of shape {vectors.shape}; "
            "the map is damaged"
        )
    for name in ("vectors", *_COLUMNS):
        if len(arrays[name]) != len(keys):
            raise PerceptionError(
                f"the voxels' array '{name}' has {len(arrays[name])} rows for {len(keys)} voxels; "
                "the map is damaged"
            )
    hits, weights = arrays["hits"], np.asarray(arrays["weights"], np.float32)
    if len(keys) and (hits.min() < 1 or hits.max() > MOST_HITS or not np.isfinite(weights).all()):
        raise PerceptionError("the voxels have hits or weights that no map has; the map is damaged")
    if not all_finite(vectors):
        raise PerceptionError("a vector of the voxels is not finite; the map is damaged")
    return keys, vectors
