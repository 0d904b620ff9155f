"""Which voxels a frame sees behind: what they showed is not there any more.

The known voxels in view are projected into the depth image, a block of them at a time, so that the cost of a
frame does not grow with the map. Casting the rays of the depth through the map instead erases many times as
much of what still stands.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import BoolMask, DepthImage, Float64Array, FloatArray, Size
from perception_contrast.core.camera_model import CameraModel, project, unproject
from perception_contrast.core.feature_grid import unit_vectors
from perception_contrast.core.grid_to_image import GridToImage
from perception_contrast.mapping.language.frame_pooling import MAX_RANGE, POINTS
from perception_contrast.mapping.language.key_index import Rows
from perception_contrast.mapping.language.voxel_keys import BLOCK
from perception_contrast.mapping.language.voxel_store import VoxelStore
from perception_contrast.mapping.map_frame import MapFrame

THROUGH_FRAMES = 3
"""Frames running that have to see behind a voxel."""
# How much farther than the far side of a voxel the depth has to be: metres, and a share of the distance.
_MARGIN, _MARGIN_SHARE = 0.05, 0.02
# Largest half width of a voxel in cells of the depth; what is nearer than that is not judged.
_WIDEST = 8
# Pixels along a side of a cell that are looked at, of a depth image with more.
_PIXELS = 4
_CAMERAS = 8
# From a voxel to itself and those that touch it.
_AROUND = np.stack(np.meshgrid(*3 * [np.arange(-1, 2)]), axis=-1).reshape(-1, 3).astype(np.int32)
# Steps, of a voxel each, that the rest of a thing reaches; and vectors that it is compared with.
_GROWTH, _COMPARED = 4, 64


@dataclass(frozen=True)
class _Cells:
    """A camera's image in coarse cells.

    Attributes:
        shape: Rows and columns.
        to_image: Where the cells lie.
        focal: Cells that a metre at a metre's distance covers.
        normals: (k, 3) outward normals of the sides of the cone around all pixels, optical frame.
    """

    shape: Size
    to_image: GridToImage
    focal: float
    normals: Float64Array


@dataclass(frozen=True)
class _Looks:
    """What a frame says of voxels, (n,) each.

    Attributes:
        behind: All of the voxel is seen behind of, by more than noise and slant explain.
        seen: It is where it was.
        little_behind: Its middle is seen behind of, by half a voxel at least.
    """

    behind: NDArray[np.bool_]
    seen: NDArray[np.bool_]
    little_behind: NDArray[np.bool_]


def seen_through(
    voxels: VoxelStore, frame: MapFrame, max_range: float = MAX_RANGE, points: Size = POINTS
) -> Rows:
    """Rows of the voxels that this frame and those before it saw behind, with what is left of their thing.

    Close to what a thing stood on, no frame sees far behind it: what touches the voxels that go, looks as
    they do, and is seen a little behind of, goes with them.

    Depth of NaN, zero or beyond ``max_range`` says nothing, and neither does a hole around a voxel. A voxel
    that the frame itself has added to is seen.

    Args:
        voxels: With what the frame shows already.
        frame: With depth and pose.
        max_range: Metres along the optical axis.
        points: Rows and columns of the cells that the depth is looked at in.
    """
    cells = _cells(frame.camera, points)
    camera_from_map = frame.pose.inverse()
    known, depth = _nearest(frame.depth, max_range, cells)
    if not known.any():
        return np.empty(0, np.int64)
    stamp = frame.stamp
    farthest = float(depth[known].max())
    low, high = _bounds(frame, cells, farthest)
    blocks, middles = voxels.blocks_around(low, high)
    ahead = camera_from_map.apply(middles)
    reach = np.sqrt(3.0) / 2 * BLOCK * voxels.size
    meets = (ahead @ cells.normals.T <= reach).all(axis=1) & (ahead[:, 2] <= farthest + reach)
    rows = voxels.rows_of_blocks(blocks[meets])
    rows = rows[voxels.last_seen[rows] != stamp]
    looks = _judged(
        camera_from_map.apply(voxels.positions(rows).astype(float)), voxels.size, frame.camera, cells, depth
    )
    through = voxels.see_through(rows[looks.behind], rows[looks.seen])
    doomed = rows[looks.behind][through >= THROUGH_FRAMES]
    return _with_the_rest(voxels, doomed, rows[looks.little_behind], stamp) if len(doomed) else doomed


def beside(voxels: VoxelStore, rows: Rows) -> Rows:
    """Rows (n,), rising, of the voxels that are one of rows (m,) or touch one."""
    keys = np.unique((voxels.keys(rows)[:, None] + _AROUND).reshape(-1, 3), axis=0)
    found = voxels.rows(keys)
    return np.unique(found[found >= 0])


def _with_the_rest(voxels: VoxelStore, doomed: Rows, doubtful: Rows, stamp: int) -> Rows:
    """Rows that are doomed, with the doubtful ones that touch them and look more like them than like what the
    frame of ``stamp`` shows beside them."""
    vectors = unit_vectors(voxels.vectors(doomed[:: max(len(doomed) // _COMPARED, 1)]))
    for _ in range(_GROWTH):
        around = beside(voxels, doomed)
        waiting = np.setdiff1d(np.intersect1d(around, doubtful), doomed)
        if not len(waiting):
            break
        own = voxels.vectors(waiting)
        shown = around[voxels.last_seen[around] == stamp]
        others = unit_vectors(voxels.vectors(shown[:: max(len(shown) // _COMPARED, 1)]))
        rival = (own @ others.T).max(axis=1, initial=-np.inf)
        doomed = np.concatenate([doomed, waiting[(own @ vectors.T).max(axis=1) > rival]])
    return doomed


@lru_cache(maxsize=_CAMERAS)
def _cells(camera: CameraModel, points: Size) -> _Cells:
    shape = min(points[0], camera.height), min(points[1], camera.width)
    to_image = GridToImage.of_resize((camera.height, camera.width), shape)
    right, bottom = camera.width - 0.5, camera.height - 0.5
    # Corners and middles of the sides, for a lens may bend these.
    x, y = (right - 0.5) / 2, (bottom - 0.5) / 2
    around = [(-0.5, -0.5), (x, -0.5), (right, -0.5), (right, y), (right, bottom), (x, bottom)]
    rays = unproject(camera, np.array([*around, (-0.5, bottom), (-0.5, y)]))
    normals = _outward(rays) if np.isfinite(rays).all() else np.array([[0.0, 0.0, -1.0]])
    return _Cells(shape, to_image, float(min(camera.fx / to_image.sx, camera.fy / to_image.sy)), normals)


def _outward(rays: Float64Array) -> Float64Array:
    """Normals (4, 3) of the sides of the pyramid around rays (n, 3) with z = 1; they point out of it."""
    (left, top), (right, bottom) = rays[:, :2].min(axis=0), rays[:, :2].max(axis=0)
    normals = np.array([(-1.0, 0.0, left), (1.0, 0.0, -right), (0.0, -1.0, top), (0.0, 1.0, -bottom)])
    return np.asarray(normals / np.linalg.norm(normals, axis=1, keepdims=True))


def _nearest(depth: DepthImage, max_range: float, cells: _Cells) -> tuple[BoolMask, FloatArray]:
    """The nearest depth of each cell, and which cells have one.

    Unknown depth is passed over where most of what is around it is known, as with the noise of a sensor; in
    a hole it is 0, so that nothing is behind it.
    """
    place = cells.to_image
    step = max(int(min(place.sx, place.sy) / _PIXELS), 1)
    depth = depth[::step, ::step]
    with np.errstate(invalid="ignore"):
        told = (depth > 0) & (depth <= max_range)
    share = cv2.blur(told.astype(np.float32), (5, 5), borderType=cv2.BORDER_REPLICATE)
    filled = np.where(told, depth, np.where(share > 0.5, np.float32(np.inf), np.float32(0)))
    kernel = np.ones((_odd(place.sy / step), _odd(place.sx / step)), np.uint8)
    nearest = cv2.erode(filled, kernel, borderType=cv2.BORDER_REPLICATE)
    rows, columns = (
        np.minimum(np.rint((scale * np.arange(count) + offset) / step).astype(np.int64), size - 1)
        for scale, offset, count, size in zip(
            (place.sy, place.sx), (place.oy, place.ox), cells.shape, depth.shape, strict=True
        )
    )
    coarse = np.asarray(nearest[rows[:, None], columns], np.float32)
    return (coarse > 0) & np.isfinite(coarse), coarse


def _odd(width: float) -> int:
    """The least odd number that covers a width."""
    return 2 * int(np.ceil((width - 1) / 2)) + 1


def _bounds(frame: MapFrame, cells: _Cells, farthest: float) -> tuple[Float64Array, Float64Array]:
    """Corners (3,) in metres of the box in the map around all that the frame may see."""
    corners = unproject(
        frame.camera,
        np.array([(x, y) for x in (0, frame.camera.width - 1) for y in (0, frame.camera.height - 1)], float),
    )
    if not np.isfinite(corners).all():
        reach = np.full(3, farthest * 2)
        return frame.pose.translation - reach, frame.pose.translation + reach
    in_map = frame.pose.apply(np.concatenate([np.zeros((1, 3)), corners * farthest]))
    return in_map.min(axis=0), in_map.max(axis=0)


def _judged(
    points: Float64Array, size: float, camera: CameraModel, cells: _Cells, depth: FloatArray
) -> _Looks:
    """What the depth says of voxels with centres (n, 3) in the optical frame."""
    behind, seen, little = (np.zeros(len(points), bool) for _ in range(3))
    place, (height, width) = cells.to_image, cells.shape
    pixels = project(camera, points)
    with np.errstate(invalid="ignore"):
        x, y = (pixels[:, 0] - place.ox) / place.sx, (pixels[:, 1] - place.oy) / place.sy
        inside = np.flatnonzero((x > -0.5) & (x < width - 0.5) & (y > -0.5) & (y < height - 0.5))
    column, row = np.rint(x[inside]).astype(np.int64), np.rint(y[inside]).astype(np.int64)
    z = points[inside, 2]
    half = np.ceil(np.sqrt(3.0) / 2 * size * cells.focal / z)
    margin = np.sqrt(3.0) / 2 * size + np.maximum(_MARGIN, _MARGIN_SHARE * z)
    for width_in_cells in range(1, _WIDEST + 1):
        which = half == width_in_cells
        if not which.any():
            continue
        around = np.ones((2 * width_in_cells + 1, 2 * width_in_cells + 1), np.uint8)
        nearest = cv2.erode(depth, around, borderType=cv2.BORDER_REPLICATE)[row[which], column[which]]
        behind[inside[which]] = np.isfinite(nearest) & (nearest > z[which] + margin[which])
    own = depth[row, column]
    seen[inside] = np.abs(own - z) <= margin
    little[inside] = np.isfinite(own) & (own > z + size / 2)
    return _Looks(behind, seen & ~behind, little)
