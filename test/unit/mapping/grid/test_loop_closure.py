"""Drift, a loop closure, and the ground after it: moved, not smeared."""

from __future__ import annotations

import numpy as np
from box_rooms import CAMERA, depth_of, looking, walls
from scipy.spatial.transform import Rotation

from perception_contrast.core.rigid_transform import RigidTransform
from perception_contrast.mapping.grid.grid_snapshot import FREE, OCCUPIED
from perception_contrast.mapping.grid.occupancy import OccupancyGrid
from perception_contrast.mapping.map_frame import MapFrame
from perception_contrast.mapping.poses.submaps import Submaps

HALL = walls(-1, -1, 9, 1)
SECOND = 1_000_000_000
STEPS, STEP = 24, 1 / 3
SIDEWAYS, TURN = 0.5, 0.08


def drift(share: float) -> RigidTransform:
    """How wrong odometry is after a share of the way: turned about the robot's true place, and shifted."""
    rotation = np.asarray(Rotation.from_euler("z", share * TURN).as_matrix())
    place = np.array([STEPS * STEP * share, 0.0, 0.0])
    return RigidTransform(rotation, place + np.array([0.0, share * SIDEWAYS, 0.0]) - rotation @ place)


def wall_errors(grid: OccupancyGrid) -> np.ndarray:
    """Metres of the occupied cells from the hall's long walls."""
    snapshot = grid.snapshot()
    places = snapshot.places(np.argwhere(snapshot.cells == OCCUPIED))
    along = places[(places[:, 0] > 0) & (places[:, 0] < 8)]
    return np.abs(np.abs(along[:, 1]) - 1.025)


def test_a_hall_is_straight_again_after_the_loop_closes() -> None:
    grid, submaps = OccupancyGrid(), Submaps(period=1.0)
    identity = RigidTransform.identity()
    for step in range(STEPS + 2):
        share = min(step, STEPS) / STEPS
        true = looking(STEP * min(step, STEPS), 0.0, 0.4 * (-1) ** step, down=0.6)
        correction = drift(share).inverse() if step >= STEPS else identity
        pose = correction @ drift(share) @ true
        moves = submaps.observe(step * SECOND // 2, correction, pose.translation)
        if step == STEPS:
            before = wall_errors(grid)
        grid.move(moves)
        if submaps.settled:
            grid.integrate(
                MapFrame(step * SECOND // 2, "front", CAMERA, depth_of(HALL, true, CAMERA), pose),
                submaps.number,
            )
    assert submaps.jumps == 1
    after = wall_errors(grid)
    assert np.quantile(before, 0.9) > 0.3
    assert np.quantile(after, 0.9) < 0.5 * np.quantile(before, 0.9)
    assert np.median(after) < 0.06
    snapshot = grid.snapshot()
    middle = np.column_stack([np.linspace(1.0, 7.5, 40), np.zeros(40)])
    assert (snapshot.cells[tuple(snapshot.indices(middle).T)] == FREE).mean() > 0.95
