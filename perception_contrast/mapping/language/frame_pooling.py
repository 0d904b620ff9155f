"""Pools one frame: depth points to voxels, and the mean of the features that fall into each.

Every point takes the vector of the grid cell that it lies in; nothing is interpolated or smoothed. The means
are one product of a sparse matrix (voxel x cell, shares of points) with the grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from perception_contrast.core.arrays import Float64Array, FloatArray, Size
from perception_contrast.core.camera_model import CameraModel, unproject
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.feature_grid import FeatureGrid
from perception_contrast.core.grid_to_image import GridToImage
from perception_contrast.mapping.language.voxel_keys import VoxelKeys, pack, unpack, voxel_keys
from perception_contrast.mapping.map_frame import MapFrame

# Rows and columns of pixels of a frame that become points.
POINTS: Size = (120, 160)
MAX_RANGE = 5.0
# Of the cameras whose rays are remembered.
_CAMERAS = 8
_LEAST_NORM = 1e-6


@dataclass(frozen=True)
class FarPixels:
    """Pixels beyond the range of the map: something is in that direction, and nobody knows how far.

    Attributes:
        origin: (3,) float64 metres, the camera in the map.
        directions: (m, 3) float32 unit vectors in the map.
        cells: (m,) int64, which of ``vectors`` each one has.
        vectors: (cells, c) float32 unit vectors.
    """

    origin: Float64Array
    directions: FloatArray
    cells: NDArray[np.int64]
    vectors: FloatArray


@dataclass(frozen=True)
class PooledFrame:
    """What one frame says about voxels.

    Attributes:
        keys: (n, 3) int32 voxels, each once.
        vectors: (n, c) float32, means of the unit vectors of each voxel's points; their length is at most 1.
        counts: (n,) float32 points of each voxel that have a vector.
        points: (p, 3) float32 metres in the map: all points within range, with and without a vector.
        far: What lies beyond the range.
    """

    keys: VoxelKeys
    vectors: FloatArray
    counts: FloatArray
    points: FloatArray
    far: FarPixels


def pool_frame(
    frame: MapFrame, size: float, max_range: float = MAX_RANGE, points: Size = POINTS
) -> PooledFrame:
    """Pools a frame's features into voxels of ``size`` metres.

    Depth of NaN, zero, below zero or beyond ``max_range`` makes no point. Infinite depth is beyond the range
    (REP 117). A cell whose vector is zero or not finite has no vector.

    Args:
        frame: Without ``semantic`` there are points, and neither voxels nor far pixels.
        size: Edge of a voxel in metres.
        max_range: Metres along the optical axis.
        points: Rows and columns of pixels that become points; a smaller depth image is taken whole.

    Raises:
        PerceptionError: Depth and camera have different sizes, or the pose is out of reach.
    """
    if frame.depth.shape != (frame.camera.height, frame.camera.width):
        raise PerceptionError(
            f"depth of {frame.depth.shape[1]}x{frame.depth.shape[0]} pixels does not fit a camera of "
            f"{frame.camera.width}x{frame.camera.height}; register it to the image"
        )
    pixels, rays = _sampled(frame.camera, points)
    depth = frame.depth[pixels[:, 1], pixels[:, 0]]
    near = (depth > 0) & (depth <= max_range)
    in_map = frame.pose.apply(rays[near] * depth[near, None])
    if not np.isfinite(in_map).all():
        raise PerceptionError("the camera's pose is not finite; check who publishes it")
    if frame.semantic is None:
        nothing = np.empty((0, 0), np.float32)
        cells, vectors = np.full(len(pixels), -1, np.int64), nothing
    else:
        cells, vectors = _cells(frame.semantic, pixels, frame.camera), _unit_cells(frame.semantic)
        empty = np.flatnonzero(~vectors.any(axis=1))
        cells[np.isin(cells, empty)] = -1
    seen = cells[near] >= 0
    keys, means, counts = pool_points(voxel_keys(in_map[seen], size), cells[near][seen], vectors)
    far = (depth > max_range) & (cells >= 0)
    directions = rays[far] @ frame.pose.rotation.T
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    beyond = FarPixels(frame.pose.translation, directions.astype(np.float32), cells[far], vectors)
    return PooledFrame(keys, means, counts, in_map.astype(np.float32), beyond)


@lru_cache(maxsize=_CAMERAS)
def _sampled(camera: CameraModel, points: Size) -> tuple[NDArray[np.int64], Float64Array]:
    """Pixels (p, 2) as (x, y) spread evenly over the image, and the rays (p, 3) through them with z = 1.

    Pixels that a wide lens has no ray for are left out.
    """
    rows, columns = min(points[0], camera.height), min(points[1], camera.width)
    spread = GridToImage.of_resize((camera.height, camera.width), (rows, columns))
    x = np.rint(spread.sx * np.arange(columns) + spread.ox).astype(np.int64)
    y = np.rint(spread.sy * np.arange(rows) + spread.oy).astype(np.int64)
    pixels = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    rays = unproject(camera, pixels.astype(float))
    there = np.isfinite(rays).all(axis=1)
    return pixels[there], rays[there]


def _cells(grid: FeatureGrid, pixels: NDArray[np.int64], camera: CameraModel) -> NDArray[np.int64]:
    """Flat cell (p,) of each pixel, -1 for those that the grid does not cover."""
    to_image = GridToImage.of_resize(grid.image_size, (camera.height, camera.width))
    x, y = to_image.sx * pixels[:, 0] + to_image.ox, to_image.sy * pixels[:, 1] + to_image.oy
    place, (rows, columns, _) = grid.grid_to_image, grid.shape
    column = np.rint((x - place.ox) / place.sx).astype(np.int64)
    row = np.rint((y - place.oy) / place.sy).astype(np.int64)
    inside = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
    return np.where(inside, row * columns + column, -1)


def _unit_cells(grid: FeatureGrid) -> FloatArray:
    """Unit vectors (cells, c) float32; zeros where a cell has none or one that is not finite."""
    vectors = np.array(grid.values, np.float32).reshape(-1, grid.shape[2])
    with np.errstate(over="ignore", invalid="ignore"):
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    usable = (norms > _LEAST_NORM) & np.isfinite(norms)
    vectors[~usable[:, 0]] = 0.0
    return np.asarray(vectors / np.where(usable, norms, 1.0), np.float32)


def pool_points(
    keys: VoxelKeys, cells: NDArray[np.int64], vectors: FloatArray
) -> tuple[VoxelKeys, FloatArray, FloatArray]:
    """Pools points that have the same key.

    Args:
        keys: (n, 3) int32, one a point.
        cells: (n,) which of ``vectors`` each point has.
        vectors: (cells, c) float32.

    Returns:
        Keys (m, 3), each once; mean vectors (m, c) float32; numbers of points (m,) float32.
    """
    if not len(keys):
        empty = np.empty((0, vectors.shape[1]), np.float32)
        return np.empty((0, 3), np.int32), empty, np.empty(0, np.float32)
    packed = pack(keys, keys[0])
    pooled, place, points = np.unique(packed, return_inverse=True, return_counts=True)
    counts = points.astype(np.float32)
    share = sparse.csr_matrix((1.0 / counts[place], (place, cells)), shape=(len(pooled), len(vectors)))
    return unpack(pooled, keys[0]), np.asarray(share @ vectors, np.float32), counts
