"""OccupancyGrid: where a robot can stand, from posed depth images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import DepthImage, Float64Array, FloatArray
from perception_contrast.core.camera_model import CameraModel, project, unproject
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.rigid_transform import RigidTransform
from perception_contrast.mapping.grid.grid_layers import GridLayers, extent
from perception_contrast.mapping.grid.grid_snapshot import FREE, OCCUPIED, UNKNOWN, GridSnapshot
from perception_contrast.mapping.map_frame import MapFrame

_ROWS_USED = 120
"""Rows of a depth image that points are taken of."""

_HIT, _MOST_HITS, _MOST_FLOOR = 3, 15, 10
_LEAST_POINTS = 2
_LEAST_DEPTH = 0.05
_FLOOR_TOLERANCE = 0.05
_SURE_BEHIND = 2.0
"""Depth up to so many times ``max_range`` is inexact and surely behind what lies within; beyond, none."""

_DROP = 0.15
"""Metres below the floor at which what is seen there is no floor."""


@dataclass(frozen=True)
class GridSettings:
    """What counts as an obstacle, and how far the grid reaches.

    Attributes:
        resolution: Metres of a cell's side.
        floor: Height of the floor in the map, metres.
        low: Height over the floor from which things are obstacles, metres; above the noise of depth on the
            floor.
        high: Height of the robot, metres: what hangs higher is no obstacle.
        max_range: Depth beyond this places nothing, metres.
        max_side: Side of the largest area that the grid covers, metres.
        robot_radius: The ground within this distance of a camera's place is free where nothing stands, for
            the robot does.
    """

    resolution: float = 0.05
    floor: float = 0.0
    low: float = 0.08
    high: float = 1.6
    max_range: float = 5.0
    max_side: float = 50.0
    robot_radius: float = 0.22

    def __post_init__(self) -> None:
        if not (self.resolution > 0 and self.max_range > 0 and self.max_side >= 2 * self.resolution):
            raise PerceptionError(
                "the grid's resolution, range and side must be above 0; correct its parameters"
            )
        if not 0 < self.low < self.high:
            raise PerceptionError(
                f"obstacles from {self.low} to {self.high} m over the floor are none; set 0 < low < high"
            )

    @property
    def heights(self) -> int:
        """Number of layers of one resolution between ``low`` and ``high``."""
        return max(1, round((self.high - self.low) / self.resolution))

    @property
    def most_cells(self) -> int:
        """Rows and columns that the grid has at most."""
        return round(self.max_side / self.resolution)


class OccupancyGrid:
    """Free, occupied and unknown ground, updated by one depth image at a time.

    A cell is occupied where points lie between ``low`` and ``high`` over it; each 5 cm of height is kept on
    its own, and leaves when depth sees through that very place. A cell is free where its floor was seen and
    nothing stands over it. Missing depth changes nothing. The cost of a frame depends on what it sees, not
    on the map.

    Args:
        settings: Sizes and ranges.

    Attributes:
        outside: Points that lay beyond ``max_side`` so far.

    Example:
        >>> OccupancyGrid().snapshot().cells.shape
        (0, 0)
    """

    def __init__(self, settings: GridSettings | None = None) -> None:
        self.settings = settings or GridSettings()
        self.outside = 0
        self.clear()

    def clear(self) -> None:
        """Forgets everything."""
        self._layers = GridLayers.empty(0, 0, self.settings.heights)

    def integrate(self, frame: MapFrame, submap: int = 0) -> None:
        """Takes one posed depth image.

        Args:
            frame: Its depth, camera and pose are used.
            submap: Number of the submap that it belongs to.
        """
        thin, rays = _thinned(frame.depth, frame.camera)
        seen = (thin > _LEAST_DEPTH) & (thin <= self.settings.max_range)
        points = rays[seen.ravel()] * thin[seen][:, None]
        points = points @ frame.pose.rotation.T.astype(np.float32) + frame.pose.translation.astype(np.float32)
        heights = points[:, 2] - self.settings.floor
        near = heights < self.settings.high
        points, heights = points[near], heights[near]
        window = self._window(points)
        if window is not None:
            hit = self._add_hits(points, heights, submap)
            self._remove_seen_through(frame, thin, window, hit)
            self._add_floor(frame, window, submap)
        self._mark_stand(frame.pose.translation, submap)

    def _cells(self, points: FloatArray | Float64Array) -> NDArray[np.int64]:
        """(n, 2) row and column in the arrays of places (n, 2 or more) in the map."""
        at = np.floor(points[:, 1::-1] / self.settings.resolution).astype(np.int64)
        cells: NDArray[np.int64] = at - self._layers.corner
        return cells

    def _window(self, points: FloatArray) -> tuple[slice, slice] | None:
        """The rows and columns of the arrays that points lie in, which grow to hold them."""
        if not len(points):
            return None
        low, high = extent(points, self.settings.resolution)
        self._layers.grow(low, high, self.settings.most_cells)
        return self._layers.area(low, high)

    def _mark_stand(self, place: Float64Array, submap: int) -> None:
        """The ground under the camera is free, unless something stands there: then no robot does."""
        resolution, radius = self.settings.resolution, self.settings.robot_radius
        reach = int(radius / resolution)
        rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
        disc = np.stack([rows, columns], -1)[np.hypot(rows, columns) * resolution <= radius]
        centre = np.floor(place[1::-1] / resolution).astype(np.int64)
        self._layers.grow(centre - reach, centre + reach + 1, self.settings.most_cells)
        cells = disc + centre - self._layers.corner
        cells = cells[self._layers.inside(cells)]
        if not self._layers.hits[cells[:, 0], cells[:, 1]].any():
            self._see_floor(cells, submap)

    def _see_floor(self, cells: NDArray[np.int64], submap: int) -> None:
        at = (cells[:, 0], cells[:, 1])
        self._layers.floor[at] = np.minimum(self._layers.floor[at] + 1, _MOST_FLOOR)
        self._layers.submap[at] = submap

    def _add_hits(self, points: FloatArray, heights: FloatArray, submap: int) -> NDArray[np.int64]:
        """Adds the places that hold points; (n,) their flat indices, ascending."""
        settings, layers = self.settings, self._layers
        cells = self._cells(points)
        inside = self._layers.inside(cells)
        self.outside += int(np.count_nonzero(~inside))
        standing = inside & (heights >= settings.low)
        layer = ((heights[standing] - settings.low) / settings.resolution).astype(np.int64)
        layer = np.minimum(layer, settings.heights - 1)
        cells = cells[standing]
        flat = np.ravel_multi_index((cells[:, 0], cells[:, 1], layer), layers.hits.shape)
        hit, counts = np.unique(flat, return_counts=True)
        hit = hit[counts >= _LEAST_POINTS]
        values = layers.hits.reshape(-1)
        values[hit] = np.minimum(values[hit] + _HIT, _MOST_HITS)
        layers.submap.reshape(-1)[hit // settings.heights] = submap
        return np.asarray(hit)

    def _remove_seen_through(
        self, frame: MapFrame, thin: DepthImage, window: tuple[slice, slice], hit: NDArray[np.int64]
    ) -> None:
        """Takes off what depth sees through, all around its place, and has not hit."""
        settings, layers = self.settings, self._layers
        rows, columns, layer = np.nonzero(layers.hits[window])
        rows, columns = rows + window[0].start, columns + window[1].start
        flat = np.ravel_multi_index((rows, columns, layer), layers.hits.shape)
        other = ~np.isin(flat, hit)
        flat, rows, columns, layer = flat[other], rows[other], columns[other], layer[other]
        z = np.asarray(settings.floor + settings.low + (layer + 0.5) * settings.resolution, float)
        depth, pixels, inside = self._seen_from(frame, rows, columns, z)
        # Missing depth is 0 here, which no place is seen through.
        measured = np.where(thin <= _SURE_BEHIND * settings.max_range, thin, np.float32(0.0))
        nearest = cv2.erode(measured, np.ones((3, 3), np.uint8))
        step = _step(frame.camera)
        pixels = np.minimum(pixels // step, np.array(nearest.shape) - 1)
        margin = settings.resolution + 0.015 * depth
        through = nearest[pixels[:, 0], pixels[:, 1]] > depth + margin
        layers.hits.reshape(-1)[flat[inside][through]] -= 1

    def _add_floor(self, frame: MapFrame, window: tuple[slice, slice], submap: int) -> None:
        """Marks cells whose floor is seen, and unmarks those where depth goes on below the floor."""
        settings = self.settings
        rows, columns = (one.ravel() for one in np.mgrid[window])
        z = np.full(len(rows), settings.floor)
        expected, pixels, inside = self._seen_from(frame, rows, columns, z)
        cells = np.stack([rows[inside], columns[inside]], axis=1)
        depth = frame.depth[pixels[:, 0], pixels[:, 1]]
        share = depth / expected
        above = frame.pose.translation[2] - settings.floor
        height = above * (1.0 - share)
        places = (cells + self._layers.corner + 0.5) * settings.resolution
        away = np.linalg.norm(places - frame.pose.translation[1::-1], axis=1) * np.abs(1.0 - share)
        floor = (np.abs(height) <= _FLOOR_TOLERANCE) & (away <= 1.5 * settings.resolution + 0.01 * expected)
        self._see_floor(cells[floor], submap)
        drop = cells[(height < -_DROP) & (depth <= settings.max_range)]
        at = (drop[:, 0], drop[:, 1])
        self._layers.floor[at] -= np.minimum(self._layers.floor[at], 1)

    def _seen_from(
        self, frame: MapFrame, rows: NDArray[np.int64], columns: NDArray[np.int64], z: Float64Array
    ) -> tuple[Float64Array, NDArray[np.int64], NDArray[np.bool_]]:
        """Places over cells as the camera sees them.

        Returns:
            Depth (m,) and pixels (m, 2) as row and column of those in the image and within range, and which
            (n,) of the places those are.
        """
        resolution = self.settings.resolution
        x = (columns + self._layers.corner[1] + 0.5) * resolution
        y = (rows + self._layers.corner[0] + 0.5) * resolution
        pose, camera = frame.pose, frame.camera
        points = (np.stack([x, y, z], axis=1) - pose.translation) @ pose.rotation
        inside = (points[:, 2] > _LEAST_DEPTH) & (points[:, 2] <= self.settings.max_range)
        points = points[inside]
        # Far outside of the image a distortion model says nothing.
        within = (np.abs(points[:, 0]) * camera.fx < points[:, 2] * camera.width) & (
            np.abs(points[:, 1]) * camera.fy < points[:, 2] * camera.height
        )
        inside[inside] = within
        points = points[within]
        pixels = np.rint(project(camera, points)[:, ::-1])
        shown = ((pixels >= 0) & (pixels < (camera.height, camera.width))).all(axis=1)
        inside[inside] = shown
        return points[shown, 2], pixels[shown].astype(np.int64), inside

    def snapshot(self) -> GridSnapshot:
        """The grid as it is; a copy."""
        settings, columns = self.settings, self._layers.hits > 0
        cells = np.where(self._layers.floor > 0, np.int8(FREE), np.int8(UNKNOWN))
        cells[columns.any(axis=2)] = OCCUPIED
        y, x = (float(one) for one in self._layers.corner * settings.resolution)
        return GridSnapshot(
            settings.resolution, (x, y), cells, columns, settings.floor, settings.floor + settings.low
        )

    def move(self, moves: Mapping[int, RigidTransform]) -> None:
        """Moves what submaps last saw, as after a loop closure.

        Args:
            moves: new_map_from_old_map of each submap that moves, by number. Of the rotation the turn about z
                counts.
        """
        self._layers.move(moves, self.settings.resolution, self.settings.most_cells)

    def forget_box(self, low: Float64Array, high: Float64Array) -> None:
        """Takes out what stands in a box; the ground below becomes unknown where the box holds it too.

        Args:
            low: (3,) least x, y, z in the map, metres.
            high: (3,) largest x, y, z.
        """
        settings, layers = self.settings, self._layers
        corners = np.floor(np.array([low[:2], high[:2]], float)[:, ::-1] / settings.resolution)
        first, last = corners.astype(np.int64)
        area = layers.area(first, last + 1)
        if low[2] <= settings.floor <= high[2]:
            layers.floor[area] = 0
        heights = (np.array([low[2], high[2]], float) - settings.floor - settings.low) / settings.resolution
        bottom, top = np.clip([np.floor(heights[0]), np.ceil(heights[1])], 0, settings.heights).astype(int)
        layers.hits[area][..., bottom:top] = 0

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Everything that ``of_arrays`` needs, as of ``GridLayers``; copies."""
        return self._layers.arrays()

    @classmethod
    def of_arrays(
        cls, arrays: Mapping[str, NDArray[Any]], settings: GridSettings | None = None
    ) -> OccupancyGrid:
        """The grid of ``arrays``.

        Raises:
            PerceptionError: The arrays do not fit each other or the settings.
        """
        grid = cls(settings)
        grid._layers = GridLayers.of_arrays(arrays, grid.settings.heights)
        return grid


def _step(camera: CameraModel) -> int:
    """Every how many rows and columns a depth image is used."""
    return max(1, round(camera.height / _ROWS_USED))


@lru_cache(maxsize=8)
def _rays(camera: CameraModel) -> FloatArray:
    """(n, 3) float32 points at depth 1 of the pixels that are used."""
    step = _step(camera)
    rows, columns = np.mgrid[0 : camera.height : step, 0 : camera.width : step]
    return unproject(camera, np.stack([columns, rows], -1).reshape(-1, 2)).astype(np.float32)


def _thinned(depth: DepthImage, camera: CameraModel) -> tuple[DepthImage, FloatArray]:
    """Depth at the pixels that are used, and their rays. Raises PerceptionError."""
    if depth.shape != (camera.height, camera.width):
        raise PerceptionError(
            f"depth of {depth.shape[1]}x{depth.shape[0]} does not match a camera of "
            f"{camera.width}x{camera.height}; give the camera of the depth image"
        )
    step = _step(camera)
    return depth[::step, ::step], _rays(camera)
