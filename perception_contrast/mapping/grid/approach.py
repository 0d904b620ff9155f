"""ApproachPlanner: where a robot can stand to face an object, or why nowhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import BoolMask, Float64Array
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.rigid_transform import RigidTransform
from perception_contrast.mapping.geometry.boxes import Box3D
from perception_contrast.mapping.grid.clearance import clearance, known_free, reachable
from perception_contrast.mapping.grid.grid_snapshot import OCCUPIED, GridSnapshot

_OWN_MARGIN = 0.1
"""Metres around an object in which what stands there belongs to it."""

_WAY_PER_METRE_OFF = 3.0
"""Metres of way that one metre off the best distance is worth."""


class ApproachError(PerceptionError):
    """No pose to approach an object. ``reason`` is a short slug."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Approach:
    """Where to stand.

    Attributes:
        pose: map_from_robot on the floor: x forward, to the object.
        distance: Metres from the robot's middle to the object's box.
        clearance: Metres to the nearest ground that is occupied or unknown.
        way: Metres straight from where the robot is now.
    """

    pose: RigidTransform
    distance: float
    clearance: float
    way: float

    @property
    def x(self) -> float:
        """Metres in the map."""
        return float(self.pose.translation[0])

    @property
    def y(self) -> float:
        """Metres in the map."""
        return float(self.pose.translation[1])

    @property
    def yaw(self) -> float:
        """Radians from the map's x to where the robot looks."""
        return float(np.arctan2(self.pose.rotation[1, 0], self.pose.rotation[0, 0]))


@dataclass(frozen=True)
class ApproachSettings:
    """What a good place is.

    Attributes:
        radius: Room that the robot needs on all sides, metres.
        near: Least distance from the object's box, metres.
        far: Largest distance from the object's box, metres. Between the two, the geometric mean is best: a
            metre of way is worth a third of a metre off it.
        eye_height: Height over the floor from which the object is looked at, metres.
    """

    radius: float = 0.22
    near: float = 0.3
    far: float = 1.2
    eye_height: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.near < self.far or self.radius < 0:
            raise PerceptionError(
                f"no place lies from {self.near} to {self.far} m off an object; set 0 <= near < far, and a "
                "radius of at least 0"
            )


class ApproachPlanner:
    """Finds a free, reachable place with a view of an object: at a good distance, and near to the robot.

    Args:
        settings: What a good place is.
    """

    def __init__(self, settings: ApproachSettings | None = None) -> None:
        self.settings = settings or ApproachSettings()

    def plan(
        self,
        grid: GridSnapshot,
        robot: tuple[float, float],
        center: Float64Array,
        size: Float64Array,
        yaw: float = 0.0,
    ) -> Approach:
        """The pose to approach a box.

        Args:
            grid: The ground.
            robot: (x, y) of the robot in the map, metres.
            center: (3,) middle of the object's box in the map, metres.
            size: (3,) its sides, metres.
            yaw: Turn of the box about z, radians.

        Raises:
            ApproachError: "unknown_ground", "occupied", "narrow", "robot_enclosed", "unreachable" or
                "hidden", in words with what can be done.
        """
        box = Box3D(np.asarray(center, float), np.asarray(size, float), yaw)
        room = clearance(grid)
        cells, distances = self._band(grid, box)
        cells, distances = self._standing(grid, room, cells, distances)
        cells, distances = self._reached(grid, room, robot, cells, distances)
        visible = self._visible(grid, cells, box)
        if not visible.any():
            raise ApproachError(
                "hidden",
                f"every reachable place within {self.settings.far:g} m of the object has something higher "
                "between it and the object; look at it from another side first, or allow a larger distance",
            )
        cells, distances = cells[visible], distances[visible]
        places = grid.places(cells)
        ways = np.hypot(*(places - robot).T)
        off = np.abs(distances - np.sqrt(self.settings.near * self.settings.far))
        best = int(np.argmin(ways + _WAY_PER_METRE_OFF * off))
        facing = float(np.arctan2(*(box.center[1::-1] - places[best][::-1])))
        pose = RigidTransform.of_quaternion(
            (*places[best], grid.floor), (0.0, 0.0, np.sin(facing / 2), np.cos(facing / 2))
        )
        row, column = cells[best]
        return Approach(
            pose,
            float(distances[best]),
            float(room[row, column]),
            float(ways[best]),
        )

    def _band(self, grid: GridSnapshot, box: Box3D) -> tuple[NDArray[np.int64], Float64Array]:
        """Cells (n, 2) at the right distance of the box, and those distances (n,)."""
        reach = self.settings.far + float(np.hypot(*box.size[:2])) / 2
        first, last = grid.indices(np.array([box.center[:2] - reach, box.center[:2] + reach]))
        first, last = np.maximum(first, 0), np.minimum(last + 1, grid.cells.shape)
        rows, columns = np.mgrid[first[0] : max(first[0], last[0]), first[1] : max(first[1], last[1])]
        cells = np.stack([rows.ravel(), columns.ravel()], axis=1)
        distances = _distances(grid.places(cells), box)
        fits = (distances >= self.settings.near) & (distances <= self.settings.far)
        return cells[fits], distances[fits]

    def _standing(
        self, grid: GridSnapshot, room: NDArray[np.float32], cells: NDArray[np.int64], distances: Float64Array
    ) -> tuple[NDArray[np.int64], Float64Array]:
        """Cells with room for the robot. Raises ApproachError."""
        settings, at = self.settings, (cells[:, 0], cells[:, 1])
        where = f"{settings.near:g} to {settings.far:g} m from the object"
        if not known_free(grid)[at].any():
            if (grid.cells[at] == OCCUPIED).any():
                raise ApproachError("occupied", f"the ground {where} is occupied; allow a larger distance")
            raise ApproachError(
                "unknown_ground", f"no floor was seen {where}; let the robot look there first"
            )
        wide = room[at] >= settings.radius
        if not wide.any():
            raise ApproachError(
                "narrow",
                f"free ground {where} has {float(room[at].max()):.2f} m of room at most; the robot needs "
                f"{settings.radius:g} m: clear the way, or allow a larger distance",
            )
        return cells[wide], distances[wide]

    def _reached(
        self,
        grid: GridSnapshot,
        room: NDArray[np.float32],
        robot: tuple[float, float],
        cells: NDArray[np.int64],
        distances: Float64Array,
    ) -> tuple[NDArray[np.int64], Float64Array]:
        """Cells that the robot can get to. Raises ApproachError."""
        region = reachable(grid, room, robot, self.settings.radius)
        if not region.any():
            raise ApproachError(
                "robot_enclosed",
                f"the robot at ({robot[0]:.2f}, {robot[1]:.2f}) has no free ground with "
                f"{self.settings.radius:g} m of room around it on the map; see that "
                "its pose is right, or let it look around first",
            )
        joined = region[cells[:, 0], cells[:, 1]]
        if not joined.any():
            raise ApproachError(
                "unreachable",
                "there is room beside the object, and no way from the robot to it through known free ground; "
                "open the way, or let the robot see more of it",
            )
        return cells[joined], distances[joined]

    def _visible(self, grid: GridSnapshot, cells: NDArray[np.int64], box: Box3D) -> BoolMask:
        """(n,) whether nothing stands between the eye over a cell and the top of the object."""
        eyes = np.column_stack(
            [grid.places(cells), np.full(len(cells), grid.floor + self.settings.eye_height)]
        )
        target = box.center + np.array([0.0, 0.0, box.size[2] / 2])
        steps = int(np.ceil((self.settings.far + float(np.hypot(*box.size[:2]))) / (grid.resolution / 2)))
        shares = np.linspace(0.0, 1.0, steps)[None, :, None]
        line = eyes[:, None] + shares * (target - eyes)[:, None]
        own = _distances(line[..., :2].reshape(-1, 2), box) <= _OWN_MARGIN
        layer = np.floor((line[..., 2].ravel() - grid.low) / grid.resolution).astype(np.int64)
        at = grid.indices(line[..., :2].reshape(-1, 2))
        known = grid.inside(at) & (layer >= 0) & (layer < grid.columns.shape[2]) & ~own
        blocked = np.zeros(len(at), bool)
        blocked[known] = grid.columns[at[known, 0], at[known, 1], layer[known]]
        return np.asarray(~blocked.reshape(len(cells), steps).any(axis=1))


def _distances(places: Float64Array, box: Box3D) -> Float64Array:
    """(n,) metres in the plane from places (n, 2) to a box; 0 inside of it."""
    return box.distance(np.column_stack([places, np.full(len(places), box.center[2])]))
