"""TsdfBlocks: Open3D's sparse blocks of voxels, with a limit of memory and weights that never overflow."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import Float64Array
from perception_contrast.core.errors import PerceptionError
from perception_contrast.mapping.geometry.keyframes import DEPTH_SCALE, PinholeView
from perception_contrast.mapping.geometry.open3d_library import open3d

# Voxels along an edge of a block.
BLOCK = 8
# A voxel weighs at most so many frames: so that changes show, and because 16 bits hold no more than 65,535.
WEIGHT_CAP = 200
# The field reaches so many voxels to either side of the surface.
TRUNCATION = 4.0
# Distance, weight and colour of a block's voxels, its key and its stamp.
BLOCK_BYTES = BLOCK**3 * (4 + 2 + 3 * 2) + 12 + 8
FIRST_BLOCKS = 4_096
# Room is made for at least this share of all blocks at a time.
_ROOM_SHARE = 16
_FIELDS = ("tsdf", "weight", "color")
# Types and channels for saving. float16 errs by a 2,000th of the truncation, far below the noise of depth.
_SAVED = {"tsdf": (np.float16, 1), "weight": (np.uint16, 1), "color": (np.uint8, 3)}

BLOCK_ARRAYS = ("blocks", *_FIELDS, "stamps")

Numbers = NDArray[np.int64]


class TsdfBlocks:
    """Blocks by position, with the stamp of the last view of each. It is not thread-safe.

    Open3D's own growth copies block by block and takes seconds, so the blocks grow here.

    Args:
        voxel: Edge of a voxel in metres.
        max_bytes: Limit of memory. Where it is reached, blocks that were seen longest ago leave.

    Raises:
        PerceptionError: Open3D is not there, or the limit has no room for two blocks.
    """

    def __init__(self, voxel: float, max_bytes: int) -> None:
        self.voxel = voxel
        self.most = int(max_bytes // BLOCK_BYTES)
        if self.most < 2:
            raise PerceptionError(f"a limit of {max_bytes} bytes holds no blocks of the surface; raise it")
        self.evicted = 0
        self._held = [self._made(min(FIRST_BLOCKS, self.most))]
        # Open3D prints all that it still holds when a process ends, a hundred lines of it.
        weakref.finalize(self, self._held.clear)
        self._stamps = np.zeros(self.capacity, np.int64)

    def __len__(self) -> int:
        return int(self.grid.hashmap().size())

    @property
    def capacity(self) -> int:
        """Blocks that have memory, in use or not."""
        return int(self.grid.hashmap().capacity())

    @property
    def bytes(self) -> int:
        """Memory of all blocks, in use or not."""
        return self.capacity * BLOCK_BYTES

    @property
    def grid(self) -> Any:
        """Open3D's VoxelBlockGrid of this moment."""
        return self._held[0]

    def integrate(self, view: PinholeView, max_range: float, stamp: int) -> None:
        """Fuses a view into the blocks around its surface."""
        if not view.depth.any():
            return
        depth = _image(view.depth[..., None])
        intrinsic, extrinsic = _matrices(view)
        ranges = (DEPTH_SCALE, max_range, TRUNCATION)
        blocks = self.grid.compute_unique_block_coordinates(depth, intrinsic, extrinsic, *ranges).numpy()
        if len(blocks) > self.most // 2:
            self.evicted += len(blocks) - self.most // 2
            blocks = blocks[: self.most // 2]
        numbers = self._activated(blocks)
        self._stamps[numbers] = np.maximum(self._stamps[numbers], stamp)
        keys = _tensor(blocks)
        if view.colors is None:
            self.grid.integrate(keys, depth, intrinsic, extrinsic, *ranges)
        else:
            colors = _image(view.colors)
            self.grid.integrate(keys, depth, colors, intrinsic, intrinsic, extrinsic, *ranges)
        weights = self._field("weight")
        weights[numbers] = np.minimum(weights[numbers], WEIGHT_CAP)

    def forget_box(self, low: Float64Array, high: Float64Array) -> None:
        """Empties the voxels between the corners ``low`` and ``high`` (3,)."""
        keys, numbers = self._active()
        edge = BLOCK * self.voxel
        near = ((keys * edge <= high) & ((keys + 1) * edge >= low)).all(axis=1)
        # Voxels of a block are ordered by z, then y, then x.
        z, y, x = np.indices((BLOCK, BLOCK, BLOCK))
        offsets = np.stack([x, y, z], axis=-1)
        for key, number in zip(keys[near], numbers[near], strict=True):
            places = (key * BLOCK + offsets) * self.voxel
            inside = ((places >= low) & (places <= high)).all(axis=-1)
            for name in _FIELDS:
                self._field(name)[number][inside] = 0

    def arrays(self) -> dict[str, NDArray[Any]]:
        """For saving: ``blocks`` (n, 3) int32, ``tsdf`` (n, 512, 1) float16, ``weight`` (n, 512, 1) uint16,
        ``color`` (n, 512, 3) uint8 and ``stamps`` (n,) int64 nanoseconds."""
        keys, numbers = self._active()
        fields = {
            name: self._field(name)[numbers].reshape(len(keys), BLOCK**3, width).astype(kind)
            for name, (kind, width) in _SAVED.items()
        }
        return {"blocks": keys, **fields, "stamps": self._stamps[numbers]}

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Fills empty blocks with ``arrays``; those that were seen last where there is no room for all.

        Raises:
            PerceptionError: The arrays do not fit each other.
        """
        keys, stamps = np.asarray(arrays["blocks"], np.int32), np.asarray(arrays["stamps"], np.int64)
        count = len(keys)
        fits = all(arrays[name].shape == (count, BLOCK**3, width) for name, (_, width) in _SAVED.items())
        if keys.shape != (count, 3) or stamps.shape != (count,) or not fits:
            raise PerceptionError("the blocks of the surface do not fit each other; the map is damaged")
        if len(np.unique(keys, axis=0)) != count or not np.isfinite(arrays["tsdf"]).all():
            raise PerceptionError("a block of the surface is there twice or not finite; the map is damaged")
        kept = np.argsort(-stamps, kind="stable")[: self.most // 2] if count > self.most // 2 else slice(None)
        numbers = self._activated(keys[kept]) if count else np.empty(0, np.int64)
        self.evicted += count - len(numbers)
        self._stamps[numbers] = stamps[kept]
        for name in _FIELDS:
            field = self._field(name)
            field[numbers] = arrays[name][kept].reshape(len(numbers), *field.shape[1:])

    def _made(self, blocks: int) -> Any:
        library = open3d()
        kinds = (library.core.float32, library.core.uint16, library.core.uint16)
        return library.t.geometry.VoxelBlockGrid(_FIELDS, kinds, ((1), (1), (3)), self.voxel, BLOCK, blocks)

    def _field(self, name: str) -> NDArray[Any]:
        """A view of a field (capacity, 8, 8, 8, channels)."""
        view: NDArray[Any] = self.grid.attribute(name).numpy()
        return view

    def _active(self) -> tuple[NDArray[np.int32], Numbers]:
        """Keys (n, 3) and numbers (n,) of the blocks in use."""
        numbers = self.grid.hashmap().active_buf_indices().numpy().astype(np.int64)
        return self.grid.hashmap().key_tensor().numpy()[numbers], numbers

    def _activated(self, blocks: NDArray[np.int32]) -> Numbers:
        """Numbers (n,) of unique blocks (n, 3), which are in use from now on."""
        index = self.grid.hashmap()
        known = index.find(_tensor(blocks))[1].numpy()
        new = blocks[~known]
        # Integration asks for room for all its blocks once more, known or not.
        needed = len(self) + len(new) + len(blocks)
        if needed > self.most:
            self._evict(min(len(self), max(needed - self.most, self.most // _ROOM_SHARE)))
            return self._activated(blocks)
        if needed > self.capacity:
            self._grow(min(self.most, max(needed, 2 * self.capacity)))
            index = self.grid.hashmap()
        if len(new):
            index.activate(_tensor(new))
        return np.asarray(index.find(_tensor(blocks))[0].numpy(), np.int64)

    def _evict(self, count: int) -> None:
        """Removes the blocks that were seen longest ago."""
        keys, numbers = self._active()
        oldest = np.argsort(self._stamps[numbers], kind="stable")[:count]
        for name in _FIELDS:
            self._field(name)[numbers[oldest]] = 0
        self.grid.hashmap().erase(_tensor(keys[oldest]))
        self.evicted += count

    def _grow(self, capacity: int) -> None:
        keys, numbers = self._active()
        fields = {name: self._field(name) for name in _FIELDS}
        # The fields are views of the grid before, which must live until they are copied.
        before, stamps = self.grid, self._stamps[numbers]
        self._held[0] = self._made(capacity)
        self._stamps = np.zeros(self.capacity, np.int64)
        if len(keys):
            index = self.grid.hashmap()
            index.activate(_tensor(keys))
            now = index.find(_tensor(keys))[0].numpy().astype(np.int64)
            self._stamps[now] = stamps
            for name, field in fields.items():
                self._field(name)[now] = field[numbers]
        del before


def _tensor(array: NDArray[Any]) -> Any:
    return open3d().core.Tensor.from_numpy(np.ascontiguousarray(array))


def _image(array: NDArray[Any]) -> Any:
    return open3d().t.geometry.Image(_tensor(array))


def _matrices(view: PinholeView) -> tuple[Any, Any]:
    """Intrinsic (3, 3) and extrinsic (4, 4), from the map to the camera."""
    camera, inverse = view.camera, view.pose.inverse()
    intrinsic = np.array([[camera.fx, 0.0, camera.cx], [0.0, camera.fy, camera.cy], [0.0, 0.0, 1.0]])
    extrinsic = np.eye(4)
    extrinsic[:3, :3], extrinsic[:3, 3] = inverse.rotation, inverse.translation
    return _tensor(intrinsic), _tensor(extrinsic)
