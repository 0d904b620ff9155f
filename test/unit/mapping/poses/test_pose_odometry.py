"""Corrections from poses alone, and what Submaps make of them."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from perception_contrast.core.rigid_transform import RigidTransform
from perception_contrast.mapping.poses.pose_odometry import PoseOdometry
from perception_contrast.mapping.poses.submaps import Submaps

SECOND = 1_000_000_000
TENTH = SECOND // 10
STILL = RigidTransform.identity()


def planar(x: float = 0.0, y: float = 0.0, yaw: float = 0.0) -> RigidTransform:
    return RigidTransform(np.asarray(Rotation.from_euler("z", yaw).as_matrix()), np.array([x, y, 0.0]))


def follow(places: list[RigidTransform]) -> tuple[list[RigidTransform], Submaps, list[dict]]:
    odometry, submaps = PoseOdometry(), Submaps(period=2.0)
    corrections, moves = [], []
    for tick, pose in enumerate(places):
        corrections.append(odometry.map_from_odom(tick * TENTH, pose))
        moves.append(submaps.observe(tick * TENTH, corrections[-1], pose.translation))
    return corrections, submaps, moves


def test_plausible_motion_is_no_correction() -> None:
    circle = [planar(np.cos(a), np.sin(a), a) for a in np.linspace(0, 6, 100)]
    corrections, submaps, _ = follow(circle)
    assert all(one.difference(STILL)[0] < 1e-9 for one in corrections)
    assert submaps.jumps == 0


def test_a_leap_is_a_jump_by_what_motion_does_not_explain() -> None:
    places = [planar(0.05 * tick) for tick in range(100)] + [
        planar(0.05 * tick, 2.0) for tick in range(100, 110)
    ]
    corrections, submaps, moves = follow(places)
    np.testing.assert_allclose(corrections[-1].translation, [0, 2, 0], atol=1e-9)
    assert submaps.jumps == 1
    assert sorted(next(one for one in moves if one)) == [0, 1, 2, 3, 4]


def test_a_leap_that_a_fast_robot_could_make_is_told_by_the_motion_before() -> None:
    places = [planar(0.05 * tick) for tick in range(60)]
    places += [planar(0.05 * tick, 0.2) for tick in range(60, 70)]
    corrections, submaps, _ = follow(places)
    assert submaps.jumps == 1
    np.testing.assert_allclose(corrections[-1].translation, [0, 0.2, 0], atol=1e-9)


def test_a_robot_may_brake_and_turn_hard() -> None:
    speeds = [1.0] * 20 + [0.5] + [0.0] * 20
    along = np.cumsum(speeds) / 10
    turned = np.cumsum([0.0] * 21 + [0.1, 0.25] + [0.3] * 18)
    corrections, submaps, _ = follow([planar(x, 0, a) for x, a in zip(along, turned, strict=True)])
    assert submaps.jumps == 0
    assert corrections[-1].difference(STILL)[0] < 1e-9


def test_a_clock_set_back_is_no_motion() -> None:
    odometry = PoseOdometry()
    odometry.map_from_odom(100 * SECOND, planar(0.0))
    odometry.map_from_odom(101 * SECOND, planar(0.5))
    assert odometry.map_from_odom(SECOND, planar(7.0)).difference(STILL)[0] == 0.0


def test_one_wrong_pose_is_an_outlier() -> None:
    places = [planar(0.05 * tick) for tick in range(60)]
    places[30] = planar(1.5, 9.0)
    _, submaps, moves = follow(places)
    assert not any(moves)
    assert (submaps.jumps, submaps.outliers) == (0, 1)
