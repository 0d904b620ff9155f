"""Submaps against closed forms: which move, by how much, and what is no jump."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from perception_contrast.core.rigid_transform import RigidTransform
from perception_contrast.mapping.poses.submaps import JumpLimits, Submaps

SECOND = 1_000_000_000
TENTH = SECOND // 10
STILL = RigidTransform.identity()


def planar(x: float = 0.0, y: float = 0.0, yaw: float = 0.0) -> RigidTransform:
    return RigidTransform(np.asarray(Rotation.from_euler("z", yaw).as_matrix()), np.array([x, y, 0.0]))


def drive(submaps: Submaps, seconds: float, map_from_odom: RigidTransform, begin: int = 0) -> list[dict]:
    """Observations at 10 Hz while the robot drives along x of odom at 1 m/s."""
    moves = []
    for tick in range(begin, begin + round(10 * seconds)):
        place = map_from_odom.apply(np.array([[tick / 10, 0.0, 0.0]]))[0]
        moves.append(submaps.observe(tick * TENTH, map_from_odom, place))
    return moves


def test_periods_get_growing_numbers() -> None:
    submaps, numbers = Submaps(period=2.0, first=7), []
    for tick in range(60):
        submaps.observe(tick * TENTH, STILL, np.zeros(3))
        numbers.append(submaps.number)
    assert numbers == [7 + tick // 20 for tick in range(60)]


def test_a_jump_is_spread_linearly_in_time() -> None:
    submaps = Submaps(period=2.0)
    drive(submaps, 10, STILL)
    jumped = drive(submaps, 0.2, planar(y=1.0), begin=100)
    assert jumped[0] == {}
    moves = jumped[1]
    assert sorted(moves) == [0, 1, 2, 3, 4]
    for number, move in moves.items():
        middle = 2 * number + 0.95
        np.testing.assert_allclose(move.translation, [0, middle / 9.5, 0], atol=0.06)
        np.testing.assert_allclose(move.rotation, np.eye(3), atol=1e-12)
    assert (submaps.jumps, submaps.number, submaps.settled) == (1, 5, True)


@given(st.floats(-0.5, 0.5), st.floats(-2, 2), st.floats(-2, 2))
@settings(max_examples=12, deadline=None)
def test_a_submap_turns_about_where_the_robot_was(yaw: float, x: float, y: float) -> None:
    submaps = Submaps(period=2.0)
    drive(submaps, 10, STILL)
    change = planar(x, y, yaw)
    moves = drive(submaps, 0.2, change, begin=100)[1]
    there = np.array([10.1, 0.0, 0.0])
    shift = change.apply(there[None])[0] - there
    if np.linalg.norm(shift) < 0.1 and abs(yaw) < 0.05:
        assert moves == {}
        return
    for number, move in moves.items():
        robot = np.array([[2 * number + 0.95, 0.0, 0.0]])
        share = move.difference(STILL)[1] / abs(yaw) if abs(yaw) > 1e-3 else None
        middle = (2 * number + 0.95) / 10
        np.testing.assert_allclose(
            move.apply(robot)[0] - robot[0], middle * shift, atol=0.06 * (1 + np.abs(shift).max())
        )
        if share is not None:
            assert share == pytest.approx(middle, abs=0.06)


def test_what_was_right_at_the_last_jump_stays() -> None:
    submaps = Submaps(period=2.0)
    drive(submaps, 10, STILL)
    drive(submaps, 10, planar(y=1.0), begin=100)
    moves = drive(submaps, 0.2, planar(y=1.5), begin=200)[1]
    assert min(moves) == 5
    assert max(move.translation[1] for move in moves.values()) <= 0.5


def test_a_jump_reaches_back_no_further_than_allowed() -> None:
    submaps = Submaps(period=2.0, longest=4.0)
    drive(submaps, 20, STILL)
    moves = drive(submaps, 0.2, planar(y=1.0), begin=200)[1]
    assert sorted(moves) == [8, 9]


def test_drift_that_is_corrected_slowly_moves_nothing() -> None:
    submaps = Submaps()
    for tick in range(300):
        assert submaps.observe(tick * TENTH, planar(x=0.01 * tick), np.zeros(3)) == {}
        assert submaps.settled
    assert submaps.jumps == 0


def test_a_jump_seen_in_steps_moves_once_and_by_the_whole() -> None:
    """TF interpolates between the samples before and after the jump."""
    submaps = Submaps(period=100.0)
    drive(submaps, 10, STILL)
    results = []
    for tick, y in ((100, 0.08), (101, 0.5), (102, 1.0)):
        results.append(submaps.observe(tick * TENTH, planar(y=y), np.array([tick / 10, y, 0.0])))
        assert submaps.settled is (tick == 100)
    moves = submaps.observe(103 * TENTH, planar(y=1.0), np.array([10.3, 1.0, 0.0]))
    assert results == [{}, {}, {}]
    np.testing.assert_allclose(moves[0].translation, [0, 0.5, 0], atol=0.03)


def test_one_wrong_observation_is_an_outlier() -> None:
    submaps = Submaps()
    drive(submaps, 5, STILL)
    assert drive(submaps, 0.1, planar(y=3.0), begin=50) == [{}]
    assert not submaps.settled
    assert not any(drive(submaps, 5, STILL, begin=51))
    assert (submaps.jumps, submaps.outliers, submaps.settled) == (0, 1, True)


def test_a_correction_that_never_rests_is_taken_in_the_end() -> None:
    submaps = Submaps(limits=JumpLimits(window=SECOND // 2))
    drive(submaps, 5, STILL)
    moved = [
        submaps.observe((50 + tick) * TENTH, planar(y=0.5 + 0.05 * tick), np.zeros(3)) for tick in range(25)
    ]
    assert any(moved)


def test_a_clock_set_back_moves_nothing_and_begins_a_submap() -> None:
    submaps = Submaps()
    drive(submaps, 4, STILL)
    assert submaps.observe(0, planar(y=5.0), np.zeros(3)) == {}
    assert submaps.number == 1
    moves = drive(submaps, 3, planar(y=5.0)) and drive(submaps, 0.2, planar(y=6.0), begin=30)[1]
    assert sorted(moves) == [1]


def test_a_frame_of_another_camera_may_be_a_little_older() -> None:
    submaps = Submaps()
    drive(submaps, 4, STILL)
    assert submaps.observe(39 * TENTH - 1, STILL, np.zeros(3)) == {}
    assert submaps.number == 0
