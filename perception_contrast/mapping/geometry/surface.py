"""Surface: the map's geometry as a truncated signed distance field (TSDF), with colours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import Float64Array, FloatArray
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.rigid_transform import RigidTransform
from perception_contrast.mapping.geometry.keyframes import KEYFRAME_ARRAYS, Keyframe, Keyframes
from perception_contrast.mapping.geometry.rectification import pinhole_view
from perception_contrast.mapping.geometry.tsdf_blocks import BLOCK_ARRAYS, TsdfBlocks
from perception_contrast.mapping.map_frame import MapFrame

VOXEL = 0.02
MAX_RANGE = 5.0
MAX_BYTES = 1 << 29
MAX_KEYFRAMES = 300
# Open3D's default is 3; a place that was seen once is part of the map.
WEIGHT_THRESHOLD = 0.5
# Keyframes of a rebuild that one call fuses: some 50 ms.
_AT_ONCE = 4
# Before the names of keyframes' arrays where they are saved beside the blocks'.
_KEYFRAME = "keyframe_"


@dataclass(frozen=True)
class PointCloud:
    """Points of the surface.

    Attributes:
        points: (n, 3) float32 metres in the map.
        colors: (n, 3) uint8 RGB.
        normals: (n, 3) float32 unit vectors, towards where it was seen from.
    """

    points: FloatArray
    colors: NDArray[np.uint8]
    normals: FloatArray


@dataclass(frozen=True)
class Mesh:
    """Triangles of the surface.

    Attributes:
        vertices: (n, 3) float32 metres in the map.
        colors: (n, 3) uint8 RGB.
        normals: (n, 3) float32 unit vectors, towards where it was seen from.
        triangles: (m, 3) int32 numbers of vertices.
    """

    vertices: FloatArray
    colors: NDArray[np.uint8]
    normals: FloatArray
    triangles: NDArray[np.int32]


class Surface:
    """The fused surface of all frames. It is not thread-safe, and needs Open3D.

    Args:
        voxel: Edge of a voxel in metres.
        max_range: Depth beyond so many metres is left out.
        max_bytes: Limit of the blocks' memory; those that were seen longest ago leave first.
        max_keyframes: Compressed frames that the surface is rebuilt from where poses change.

    Raises:
        PerceptionError: Open3D is not there, or the limit is too small.
    """

    def __init__(
        self,
        voxel: float = VOXEL,
        *,
        max_range: float = MAX_RANGE,
        max_bytes: int = MAX_BYTES,
        max_keyframes: int = MAX_KEYFRAMES,
    ) -> None:
        self.voxel, self.max_range, self.max_bytes = voxel, max_range, max_bytes
        self._blocks = TsdfBlocks(voxel, max_bytes)
        self._keyframes = Keyframes(max_keyframes)
        # What a rebuild makes of the keyframes, and those that are not yet in it.
        self._rebuilt: TsdfBlocks | None = None
        self._pending: list[Keyframe] = []
        self._evicted = 0

    @property
    def bytes(self) -> int:
        """Memory of blocks and keyframes."""
        moved = 0 if self._rebuilt is None else self._rebuilt.bytes
        return self._blocks.bytes + moved + self._keyframes.bytes

    @property
    def blocks(self) -> int:
        """Blocks of 8 x 8 x 8 voxels in use."""
        return len(self._blocks)

    @property
    def keyframes(self) -> int:
        """Frames that are kept for rebuilding."""
        return len(self._keyframes)

    @property
    def evicted(self) -> int:
        """Blocks so far that the limit of memory left no room for."""
        moved = 0 if self._rebuilt is None else self._rebuilt.evicted
        return self._evicted + self._blocks.evicted + moved

    def integrate(self, frame: MapFrame, submap: int = 0) -> None:
        """Fuses a frame. Depth that is none, or beyond the range, changes nothing.

        Args:
            frame: With the colours of its image, where it has one.
            submap: Number of the submap that it belongs to.

        Raises:
            PerceptionError: Sizes do not fit, or the pose is not finite.
        """
        view = pinhole_view(frame, self.max_range)
        blocks = self._blocks if self._rebuilt is None else self._rebuilt
        blocks.integrate(view, self.max_range, frame.stamp)
        if view.depth.any():
            self._keyframes.offer(view, submap)
        self._go_on(_AT_ONCE)

    def mesh(self) -> Mesh:
        """All triangles."""
        self._go_on(_AT_ONCE)
        if not self.blocks:
            return Mesh(*_point_arrays({}), np.empty((0, 3), np.int32))
        mesh = self._blocks.grid.extract_triangle_mesh(WEIGHT_THRESHOLD)
        triangles = np.asarray(mesh.triangle.indices.numpy(), np.int32).reshape(-1, 3)
        return Mesh(*_point_arrays(mesh.vertex), triangles)

    def cloud(self, max_points: int | None = None) -> PointCloud:
        """Points of the surface, at most ``max_points`` of them, spread evenly."""
        self._go_on(_AT_ONCE)
        found = self._blocks.grid.extract_point_cloud(WEIGHT_THRESHOLD).point if self.blocks else {}
        points, colors, normals = _point_arrays(found)
        if max_points is not None and len(points) > max_points:
            chosen = np.linspace(0, len(points) - 1, max_points).round().astype(np.int64)
            points, colors, normals = points[chosen], colors[chosen], normals[chosen]
        return PointCloud(points, colors, normals)

    def move(self, moves: Mapping[int, RigidTransform]) -> None:
        """Moves the keyframes of each submap by its ``new_map_from_old_map``, and rebuilds the surface."""
        if any(one.submap in moves for one in self._keyframes):
            self._keyframes.move(moves)
            self.rebuild()

    def rebuild(self) -> None:
        """Makes the surface anew from its keyframes.

        A few keyframes are fused now, and a few with each frame, mesh or cloud that follows, so that no call
        takes long. Until all are, mesh and cloud show the surface as it was, and memory holds both.
        ``finish_rebuild`` does it at once; ``arrays`` and ``forget_box`` do that first.
        """
        self._rebuilt, self._pending = TsdfBlocks(self.voxel, self.max_bytes), list(self._keyframes)
        self._go_on(_AT_ONCE)

    @property
    def rebuilding(self) -> bool:
        """Whether a rebuild is not finished."""
        return self._rebuilt is not None

    def finish_rebuild(self) -> None:
        """Fuses all keyframes of a rebuild that is not finished."""
        self._go_on(len(self._pending))

    def forget_box(self, low: FloatArray | Float64Array, high: FloatArray | Float64Array) -> None:
        """Removes the surface between the corners ``low`` and ``high`` (3,), from the keyframes too."""
        self.finish_rebuild()
        corners = np.asarray(low, float), np.asarray(high, float)
        self._blocks.forget_box(*corners)
        self._keyframes.blank(*corners)

    def clear(self) -> None:
        """Removes all."""
        self._evicted += self._blocks.evicted
        self._blocks = TsdfBlocks(self.voxel, self.max_bytes)
        self._keyframes = Keyframes(self._keyframes.limit)
        self._rebuilt, self._pending = None, []

    def arrays(self) -> dict[str, NDArray[Any]]:
        """For saving: those of the blocks, and those of the keyframes, named with ``keyframe_`` before."""
        self.finish_rebuild()
        keyframes = self._keyframes.arrays()
        return self._blocks.arrays() | {f"{_KEYFRAME}{name}": array for name, array in keyframes.items()}

    @classmethod
    def of_arrays(
        cls,
        arrays: Mapping[str, NDArray[Any]],
        voxel: float = VOXEL,
        *,
        max_range: float = MAX_RANGE,
        max_bytes: int = MAX_BYTES,
        max_keyframes: int = MAX_KEYFRAMES,
    ) -> Surface:
        """The surface of ``arrays``.

        Raises:
            PerceptionError: An array is missing or does not fit the others, or Open3D is not there.
        """
        names = (*BLOCK_ARRAYS, *(f"{_KEYFRAME}{name}" for name in KEYFRAME_ARRAYS))
        missing = [name for name in names if name not in arrays]
        if missing:
            raise PerceptionError(f"the surface lacks the array '{missing[0]}'; the map is damaged")
        surface = cls(voxel, max_range=max_range, max_bytes=max_bytes, max_keyframes=max_keyframes)
        surface._blocks.load(arrays)
        keyframes = {name: arrays[f"{_KEYFRAME}{name}"] for name in KEYFRAME_ARRAYS}
        surface._keyframes = Keyframes.of_arrays(keyframes, max_keyframes)
        return surface

    def _go_on(self, count: int) -> None:
        """Fuses ``count`` more keyframes of a rebuild."""
        if self._rebuilt is None:
            return
        for one in self._pending[:count]:
            self._rebuilt.integrate(one.view(), self.max_range, one.stamp)
        self._pending = self._pending[count:]
        if not self._pending:
            self._evicted += self._blocks.evicted
            self._blocks, self._rebuilt = self._rebuilt, None


def _point_arrays(tensors: Any) -> tuple[FloatArray, NDArray[np.uint8], FloatArray]:
    """Points, colours and normals of Open3D's tensors, which are not there where there is no surface."""
    if "positions" not in tensors or not len(tensors.positions):
        return np.empty((0, 3), np.float32), np.empty((0, 3), np.uint8), np.empty((0, 3), np.float32)
    colors = np.rint(255.0 * np.clip(tensors.colors.numpy(), 0.0, 1.0)).astype(np.uint8)
    return tensors.positions.numpy(), colors, tensors.normals.numpy()
