"""VoxelSet: where an object is, as sorted voxels with what was seen of each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import FloatArray
from perception_contrast.core.rigid_transform import RigidTransform

Codes: TypeAlias = NDArray[np.int64]
Counts: TypeAlias = NDArray[np.uint16]

_BITS = 21
_HALF = 1 << (_BITS - 1)
_MOST = np.iinfo(np.uint16).max
# A mean over more frames would no longer follow a surface whose pose was corrected.
_MEAN_CAP = 20.0
# A voxel that was in view so often, and in so few of the object's masks, is not the object's.
_LOOKS_TO_DROP, _SHARE_TO_DROP = 5, 0.2


def packed(keys: NDArray[np.int32]) -> Codes:
    """One number (n,) int64 for each voxel key (n, 3), in the order of x, then y, then z.

    Keys beyond a million voxels from the origin have none and must be left out before.
    """
    wide = keys.astype(np.int64) + _HALF
    return np.asarray((wide[:, 0] << (2 * _BITS)) | (wide[:, 1] << _BITS) | wide[:, 2])


def unpacked(codes: Codes) -> NDArray[np.int32]:
    """Keys (n, 3) int32 of the numbers that ``packed`` gives."""
    mask = (1 << _BITS) - 1
    columns = (codes >> (2 * _BITS), (codes >> _BITS) & mask, codes & mask)
    return (np.stack(columns, axis=1) - _HALF).astype(np.int32)


@dataclass(frozen=True)
class VoxelSet:
    """Voxels of one object or of one detection.

    Attributes:
        codes: (n,) int64 as of ``packed``, ascending.
        centroids: (n, 3) float32 metres, mean of the points in each.
        hits: (n,) uint16, frames whose mask held the voxel.
        looks: (n,) uint16, frames with a mask of the object that had the voxel in view.
    """

    codes: Codes
    centroids: FloatArray
    hits: Counts
    looks: Counts

    @classmethod
    def of_points(cls, points: NDArray[np.floating], size: float) -> VoxelSet:
        """The voxels of points (n, 3) in metres; what is not finite or absurdly far is left out."""
        points = np.asarray(points, np.float64).reshape(-1, 3)
        with np.errstate(invalid="ignore"):
            points = points[(np.abs(points) < _HALF * size).all(axis=1)]
        codes = packed(np.floor(points / size).astype(np.int32))
        unique, index, counts = np.unique(codes, return_inverse=True, return_counts=True)
        columns = [np.bincount(index, points[:, axis], len(unique)) for axis in range(3)]
        means = np.stack(columns, axis=1) / np.maximum(counts, 1)[:, None]
        ones = np.ones(len(unique), np.uint16)
        return cls(unique, means.astype(np.float32), ones, ones.copy())

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def keys(self) -> NDArray[np.int32]:
        """(n, 3) int32 voxel keys."""
        return unpacked(self.codes)

    def bounds(self) -> tuple[FloatArray, FloatArray]:
        """Lowest and highest corner (3,) of the centroids; of an empty set inf and -inf."""
        low = self.centroids.min(axis=0, initial=np.inf)
        return low.astype(np.float32), self.centroids.max(axis=0, initial=-np.inf).astype(np.float32)

    def rows_of(self, codes: Codes) -> NDArray[np.int64]:
        """Row of each code (m,), -1 for those that are not in the set."""
        if not len(self.codes):
            return np.full(len(codes), -1, np.int64)
        rows = np.minimum(np.searchsorted(self.codes, codes), len(self.codes) - 1)
        return np.where(self.codes[rows] == codes, rows, -1)

    def overlap(self, other: VoxelSet) -> float:
        """Share of the smaller of two sets that is in both; 0 where one is empty."""
        small, large = (self, other) if len(self) <= len(other) else (other, self)
        if not len(small):
            return 0.0
        return int(np.count_nonzero(large.rows_of(small.codes) >= 0)) / len(small)

    def joined(self, other: VoxelSet) -> VoxelSet:
        """The union; counts add up, and centroids are means by their hits."""
        codes, index = np.unique(np.concatenate([self.codes, other.codes]), return_inverse=True)
        hits = np.concatenate([self.hits, other.hits]).astype(np.float64)
        looks = np.concatenate([self.looks, other.looks]).astype(np.float64)
        weights = np.minimum(hits, _MEAN_CAP)
        centroids = np.concatenate([self.centroids, other.centroids]) * weights[:, None]
        total = np.bincount(index, weights, len(codes))
        columns = [np.bincount(index, centroids[:, axis], len(codes)) for axis in range(3)]
        return VoxelSet(
            codes,
            (np.stack(columns, axis=1) / np.maximum(total, 1e-9)[:, None]).astype(np.float32),
            np.minimum(np.bincount(index, hits, len(codes)), _MOST).astype(np.uint16),
            np.minimum(np.bincount(index, looks, len(codes)), _MOST).astype(np.uint16),
        )

    def looked_at(self, missed: NDArray[np.bool_], behind: NDArray[np.bool_]) -> VoxelSet:
        """After one more frame with a mask of the object.

        What was in view often and hardly ever in a mask leaves; what was seen behind of loses half of its
        hits, and leaves with the last.

        Args:
            missed: (n,) in view and not in the mask.
            behind: (n,) seen behind of.

        Returns:
            What is left; the same voxels where nothing would be.
        """
        hits = np.where(behind, self.hits // 2, self.hits).astype(np.uint16)
        looks = np.where(missed, np.minimum(self.looks, _MOST - 1) + 1, self.looks).astype(np.uint16)
        kept = (hits > 0) & ((looks < _LOOKS_TO_DROP) | (hits >= _SHARE_TO_DROP * looks))
        after = replace(self, hits=hits, looks=looks)
        return after.only(kept) if kept.any() else replace(after, hits=np.maximum(hits, 1).astype(np.uint16))

    def only(self, kept: NDArray[np.bool_]) -> VoxelSet:
        """The rows where ``kept`` (n,) is True."""
        return VoxelSet(self.codes[kept], self.centroids[kept], self.hits[kept], self.looks[kept])

    def moved(self, transform: RigidTransform, size: float) -> VoxelSet:
        """The set after ``transform``, in voxels of the map frame again."""
        points = transform.apply(np.asarray(self.centroids, np.float64))
        codes = packed(np.floor(points / size).astype(np.int32))
        order = np.argsort(codes, kind="stable")
        turned = VoxelSet(codes[order], points[order].astype(np.float32), self.hits[order], self.looks[order])
        # Two voxels that fell into one become it, with the larger counts: they were seen in the same frames.
        unique, first, counts = np.unique(turned.codes, return_index=True, return_counts=True)
        if len(unique) == len(codes):
            return turned
        centroids = np.add.reduceat(turned.centroids, first, axis=0) / counts[:, None]
        return VoxelSet(
            unique,
            centroids.astype(np.float32),
            np.maximum.reduceat(turned.hits, first),
            np.maximum.reduceat(turned.looks, first),
        )
