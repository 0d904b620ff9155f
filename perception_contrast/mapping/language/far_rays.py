"""FarRays: what was seen beyond the range of depth, as "something like a door that way".

A ray starts in a coarse cell of places where a camera was and points into a bin of directions; it holds the
running mean of the vectors that were seen there. Its memory is limited as that of voxels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import Float64Array, FloatArray
from perception_contrast.core.feature_grid import unit_vectors
from perception_contrast.core.rigid_transform import RigidTransform
from perception_contrast.mapping.language.frame_pooling import FarPixels, pool_points
from perception_contrast.mapping.language.voxel_keys import VoxelKeys, centres, voxel_keys
from perception_contrast.mapping.language.voxel_store import StoreArrays, VoxelStore

ORIGIN_SIZE = 1.0
BIN_DEGREES = 20.0
MAX_BYTES = 32 << 20
WEIGHT_CAP = 1024.0
_AZIMUTHS = round(360 / BIN_DEGREES)
_ELEVATIONS = round(180 / BIN_DEGREES)
_BIN = math.radians(BIN_DEGREES)


@dataclass(frozen=True)
class FarRay:
    """One direction in which something was seen out of range.

    Attributes:
        origin: (3,) metres in the map, within half a metre of where the camera was.
        direction: (3,) unit vector in the map, the middle of a bin of 20 degrees.
        score: Cosine with what was asked for.
        hits: Frames that saw it.
        last_seen: Nanoseconds.
    """

    origin: FloatArray
    direction: FloatArray
    score: float
    hits: int
    last_seen: int


class FarRays:
    """Rays by origin and direction. It is not thread-safe.

    Args:
        channels: Of a vector.
        max_bytes: Limit of memory; the least valuable rays leave first, as voxels do.

    Raises:
        PerceptionError: The limit leaves room for no ray.
    """

    def __init__(self, channels: int, *, max_bytes: int = MAX_BYTES) -> None:
        self._rays = VoxelStore(channels, ORIGIN_SIZE, max_bytes=max_bytes, weight_cap=WEIGHT_CAP)

    def __len__(self) -> int:
        return len(self._rays)

    @property
    def bytes(self) -> int:
        """Memory in use."""
        return self._rays.bytes

    @property
    def evicted(self) -> int:
        """Rays so far that the limit of memory left no room for."""
        return self._rays.evicted

    def add(self, far: FarPixels, stamp: int, submap: int = 0) -> None:
        """Adds one frame's pixels beyond the range.

        Args:
            far: As of ``pool_frame``.
            stamp: Nanoseconds.
            submap: Number of the submap that the frame belongs to.
        """
        if not len(far.directions):
            return
        origins = np.broadcast_to(far.origin, far.directions.shape)
        keys, vectors, counts = pool_points(_ray_keys(origins, far.directions), far.cells, far.vectors)
        self._rays.add(keys, vectors, counts, stamp, submap)

    def origins(self) -> FloatArray:
        """Origins (n, 3) float32 metres of all rays."""
        return _origins(self._rays.keys())

    def directions(self) -> FloatArray:
        """Unit vectors (n, 3) float32 of all rays, in the order of ``origins``."""
        return _directions(self._rays.keys())

    def last_seen(self) -> NDArray[np.int64]:
        """(n,) nanoseconds when each ray was seen last, in the order of ``vectors``."""
        return np.asarray(self._rays.last_seen[self._rays.live_rows()])

    def vectors(self) -> FloatArray:
        """Unit vectors (n, c) float32 of features of all rays, in the order of ``origins``."""
        return unit_vectors(self._rays.vectors(self._rays.live_rows()))

    def scores(self, texts: FloatArray) -> FloatArray:
        """Cosines (t, n) float32 of vectors (t, c) with all rays, in the order of ``origins``."""
        return self._rays.scores(texts)

    def strongest(self, text: FloatArray, count: int = 1) -> tuple[FarRay, ...]:
        """The rays that are most like a vector (c,), best first; at most ``count``."""
        scores = self.scores(text)[0]
        best = np.argsort(-scores, kind="stable")[:count]
        rows = self._rays.live_rows()[best]
        keys = self._rays.keys(rows)
        hits, last_seen = self._rays.hits[rows], self._rays.last_seen[rows]
        return tuple(
            FarRay(origin, direction, float(score), int(hit), int(seen))
            for origin, direction, score, hit, seen in zip(
                _origins(keys), _directions(keys), scores[best], hits, last_seen, strict=True
            )
        )

    def forget_box(self, low: FloatArray | Float64Array, high: FloatArray | Float64Array) -> int:
        """Removes the rays through the box with the corners ``low`` and ``high`` (3,); says how many."""
        with np.errstate(divide="ignore", invalid="ignore"):
            origins, directions = self.origins(), self.directions()
            ends = np.stack(
                [(np.asarray(corner, np.float32) - origins) / directions for corner in (low, high)]
            )
        enter, leave = np.nanmax(ends.min(axis=0), axis=1), np.nanmin(ends.max(axis=0), axis=1)
        through = (enter <= leave) & (leave >= 0)
        self._rays.remove(self._rays.live_rows()[through])
        return int(through.sum())

    def move(self, moves: Mapping[int, RigidTransform]) -> None:
        """Moves and turns the rays of each submap by its ``new_map_from_old_map``."""
        rows = self._rays.live_rows()
        submaps, keys = self._rays.submap[rows], self._rays.keys(rows)
        moved = np.zeros(len(rows), bool)
        for number, transform in moves.items():
            which = submaps == number
            origins = transform.apply(_origins(keys[which]).astype(float))
            directions = _directions(keys[which]) @ transform.rotation.T
            keys[which] = _ray_keys(origins, directions)
            moved |= which
        self._rays.rekey(rows[moved], keys[moved])

    def arrays(self) -> StoreArrays:
        """All rays, as copies; their keys hold origin and direction."""
        return self._rays.arrays()

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[Any]], *, max_bytes: int = MAX_BYTES) -> FarRays:
        """The rays of ``arrays``.

        Raises:
            PerceptionError: As of ``VoxelStore.of_arrays``.
        """
        store = VoxelStore.of_arrays(arrays, ORIGIN_SIZE, max_bytes=max_bytes, weight_cap=WEIGHT_CAP)
        rays = cls(store.channels, max_bytes=max_bytes)
        rays._rays = store
        return rays

    def take_changed(self) -> StoreArrays:
        """As of ``VoxelStore``."""
        return self._rays.take_changed()


def _ray_keys(origins: FloatArray | Float64Array, directions: FloatArray | Float64Array) -> VoxelKeys:
    """Keys (n, 3): the cell of the origin, with the azimuth in x and the elevation in y."""
    cells = voxel_keys(origins, ORIGIN_SIZE)
    azimuth = np.floor((np.arctan2(directions[:, 1], directions[:, 0]) + math.pi) / _BIN)
    elevation = np.floor((np.arcsin(np.clip(directions[:, 2], -1.0, 1.0)) + math.pi / 2) / _BIN)
    cells[:, 0] = cells[:, 0] * _AZIMUTHS + np.clip(azimuth, 0, _AZIMUTHS - 1).astype(np.int32)
    cells[:, 1] = cells[:, 1] * _ELEVATIONS + np.clip(elevation, 0, _ELEVATIONS - 1).astype(np.int32)
    return cells


def _origins(keys: VoxelKeys) -> FloatArray:
    return centres(keys // np.array([_AZIMUTHS, _ELEVATIONS, 1], np.int32), ORIGIN_SIZE)


def _directions(keys: VoxelKeys) -> FloatArray:
    azimuth = (keys[:, 0] % _AZIMUTHS + 0.5) * _BIN - math.pi
    elevation = (keys[:, 1] % _ELEVATIONS + 0.5) * _BIN - math.pi / 2
    flat = np.cos(elevation)
    directions = np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)], axis=1)
    return directions.astype(np.float32)
