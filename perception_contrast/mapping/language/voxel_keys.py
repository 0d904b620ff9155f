"""Voxel keys: from points in the map to whole numbers, and three of these in one 64-bit number."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import Float64Array, FloatArray
from perception_contrast.core.errors import PerceptionError

VoxelKeys: TypeAlias = NDArray[np.int32]
"""(n, 3) int32, ``floor(point / size)``."""

PackedKeys: TypeAlias = NDArray[np.int64]
"""(n,) int64, a key in one number; sorted by its block of voxels, so that a block is a range of numbers."""

# Of a key's 21 bits along an axis, those within its block, and those of the block.
_WITHIN, _BLOCK = 3, 18
BLOCK = 1 << _WITHIN
"""Voxels along an edge of a block."""
# Keys that can be packed lie this far from the origin of packing, in voxels.
REACH = 1 << (_WITHIN + _BLOCK - 1)
_WITHIN_MASK, _BLOCK_MASK = (1 << _WITHIN) - 1, (1 << _BLOCK) - 1
_LARGEST = float(np.iinfo(np.int32).max)


def voxel_keys(points: FloatArray | Float64Array, size: float) -> VoxelKeys:
    """Keys (n, 3) of points (n, 3) in metres, for voxels of ``size`` metres.

    Raises:
        PerceptionError: A point is not finite or too far from the map's origin for whole numbers.
    """
    cells = np.floor(np.asarray(points, float) / size)
    if cells.size and not np.abs(cells).max() < _LARGEST:
        raise PerceptionError(
            "a point of the map is not finite or millions of kilometres away; check the camera's poses"
        )
    return np.asarray(cells, np.int32)


def centres(keys: VoxelKeys, size: float) -> FloatArray:
    """Centres (n, 3) float32 in metres of voxels of ``size`` metres."""
    return np.asarray((keys + 0.5) * size, np.float32)


def reachable(keys: VoxelKeys, origin: VoxelKeys) -> NDArray[np.bool_]:
    """Which of keys (n, 3) can be packed from ``origin`` (3,)."""
    offsets = keys.astype(np.int64) - origin
    return np.asarray(((offsets >= -REACH) & (offsets < REACH)).all(axis=1))


def pack(keys: VoxelKeys, origin: VoxelKeys) -> PackedKeys:
    """Packs keys (n, 3) as their differences from ``origin`` (3,).

    Raises:
        PerceptionError: A key lies more than ``REACH`` voxels from the origin along an axis.
    """
    if not reachable(keys, origin).all():
        raise PerceptionError(
            f"a voxel lies more than {REACH} voxels from the first one of the map; check the camera's poses, "
            "or start a new map there"
        )
    offsets = (keys.astype(np.int64) - origin + REACH).T
    within = _joined(offsets & _WITHIN_MASK, _WITHIN)
    return np.asarray(_joined(offsets >> _WITHIN, _BLOCK) << 3 * _WITHIN | within)


def unpack(packed: PackedKeys, origin: VoxelKeys) -> VoxelKeys:
    """The keys (n, 3) of ``pack``."""
    blocks = packed >> 3 * _WITHIN
    parts = [
        (blocks >> axis * _BLOCK & _BLOCK_MASK) << _WITHIN | (packed >> axis * _WITHIN & _WITHIN_MASK)
        for axis in (2, 1, 0)
    ]
    return np.asarray(np.stack(parts, axis=1) - REACH + origin, np.int32)


def block_of(keys: VoxelKeys, origin: VoxelKeys) -> NDArray[np.int64]:
    """Blocks (n, 3) of keys (n, 3), which may be out of reach."""
    return (keys.astype(np.int64) - origin + REACH) >> _WITHIN


def block_corners(blocks: NDArray[np.int64], origin: VoxelKeys) -> NDArray[np.int64]:
    """The lowest key (n, 3) of each block (n, 3)."""
    return (blocks << _WITHIN) - REACH + origin


def block_ranges(blocks: NDArray[np.int64]) -> tuple[PackedKeys, PackedKeys]:
    """First packed key of each block (n, 3), and the one behind its last; those out of reach are left out.

    Blocks that follow each other along z are one range.
    """
    inside = ((blocks >= 0) & (blocks <= _BLOCK_MASK)).all(axis=1)
    starts = np.sort(_joined(blocks[inside].T, _BLOCK)) << 3 * _WITHIN
    ends = starts + (1 << 3 * _WITHIN)
    first, last = np.ones(len(starts), bool), np.ones(len(starts), bool)
    first[1:] = last[:-1] = starts[1:] != ends[:-1]
    return starts[first], ends[last]


def _joined(parts: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    """x, y and z (3, n) of so many bits each in one number (n,)."""
    x, y, z = parts
    return np.asarray(x << 2 * bits | y << bits | z)
