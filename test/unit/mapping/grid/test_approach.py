"""Poses to approach objects in rooms made by hand, and the reason where there is none."""

from __future__ import annotations

import numpy as np
import pytest

from perception_contrast.core.errors import PerceptionError
from perception_contrast.mapping.grid.approach import ApproachError, ApproachPlanner, ApproachSettings
from perception_contrast.mapping.grid.clearance import clearance, known_free, reachable
from perception_contrast.mapping.grid.grid_snapshot import FREE, OCCUPIED, UNKNOWN, GridSnapshot

RESOLUTION, LOW, HEIGHTS = 0.05, 0.1, 30
CUP = np.array([0.1, 0.1, 0.1])


class Room:
    """A floor of 6 by 4 m from (0, 0), walls of 0.1 m inside its edge, everything known."""

    def __init__(self) -> None:
        self.columns = np.zeros((80, 120, HEIGHTS), bool)
        self.unknown = np.zeros((80, 120), bool)
        for low, high in (((0, 0), (6, 0.1)), ((0, 3.9), (6, 4)), ((0, 0), (0.1, 4)), ((5.9, 0), (6, 4))):
            self.block(low, high)

    def _area(self, low: tuple[float, float], high: tuple[float, float]) -> tuple[slice, slice]:
        (x0, y0), (x1, y1) = (tuple(round(one / RESOLUTION) for one in corner) for corner in (low, high))
        return slice(y0, y1), slice(x0, x1)

    def block(
        self, low: tuple[float, float], high: tuple[float, float], bottom: float = 0.1, top: float = 1.6
    ) -> Room:
        layers = slice(max(0, round((bottom - LOW) / RESOLUTION)), round((top - LOW) / RESOLUTION))
        self.columns[(*self._area(low, high), layers)] = True
        return self

    def hide(self, low: tuple[float, float], high: tuple[float, float]) -> Room:
        self.unknown[self._area(low, high)] = True
        return self

    def grid(self) -> GridSnapshot:
        cells = np.full(self.unknown.shape, FREE, np.int8)
        cells[self.unknown] = UNKNOWN
        cells[self.columns.any(axis=2)] = OCCUPIED
        return GridSnapshot(RESOLUTION, (0.0, 0.0), cells, self.columns, 0.0, LOW)


def assert_good(grid: GridSnapshot, found: object, center: np.ndarray, radius: float = 0.22) -> np.ndarray:
    """Free within the radius by a test of each cell, and facing the object; its place."""
    place = found.pose.translation[:2]  # type: ignore[attr-defined]
    rows, columns = np.mgrid[0 : grid.cells.shape[0], 0 : grid.cells.shape[1]]
    centres = grid.places(np.stack([rows, columns], -1).reshape(-1, 2))
    nearest = np.abs(centres - place).clip(grid.resolution / 2) - grid.resolution / 2
    touched = np.hypot(*nearest.T) < radius - grid.resolution / 2
    assert (grid.cells.ravel()[touched] == FREE).all()
    forward = found.pose.rotation[:, 0]  # type: ignore[attr-defined]
    ahead = center[:2] - place
    np.testing.assert_allclose(forward[:2], ahead / np.linalg.norm(ahead), atol=1e-9)
    np.testing.assert_allclose(found.pose.rotation @ [0, 0, 1], [0, 0, 1])  # type: ignore[attr-defined]
    return place


def test_a_thing_on_the_floor_is_approached_from_the_robots_side() -> None:
    grid, center = Room().grid(), np.array([4.0, 2.0, 0.05])
    found = ApproachPlanner().plan(grid, (1.0, 2.0), center, CUP)
    place = assert_good(grid, found, center)
    assert place[0] < 3.5
    assert found.distance == pytest.approx(0.6, abs=0.05)
    assert found.way == pytest.approx(np.hypot(*(place - [1.0, 2.0])))
    assert found.clearance >= 0.22
    np.testing.assert_allclose(found.pose.translation[2], 0.0)


def test_a_robot_that_is_near_already_keeps_its_place() -> None:
    grid, center = Room().grid(), np.array([4.0, 2.0, 0.05])
    found = ApproachPlanner().plan(grid, (3.36, 2.025), center, CUP)
    assert found.way < 0.05
    assert (found.x, found.y) == pytest.approx((3.36, 2.025), abs=0.04)
    assert found.yaw == pytest.approx(0.0, abs=0.06)


def test_a_table_that_is_too_deep_is_approached_as_near_as_it_goes() -> None:
    room = Room().block((2.5, 1.0), (4.1, 3.0), 0.70, 0.75)
    found = ApproachPlanner().plan(room.grid(), (1.0, 2.0), np.array([3.3, 2.0, 0.8]), CUP)
    assert 2.5 - found.x == pytest.approx(0.25, abs=0.051)


def test_a_thing_on_a_table_is_approached_beside_the_table() -> None:
    room = Room().block((3.0, 1.5), (4.2, 2.3), 0.70, 0.75)
    center = np.array([3.6, 1.9, 0.80])
    place = assert_good(room.grid(), ApproachPlanner().plan(room.grid(), (1.0, 2.0), center, CUP), center)
    assert place[0] < 3.0 - 0.2


def test_a_thing_in_a_corner_is_approached_from_the_open_side() -> None:
    center = np.array([5.8, 3.8, 0.05])
    grid = Room().grid()
    place = assert_good(grid, ApproachPlanner().plan(grid, (1.0, 1.0), center, CUP), center)
    assert (place < center[:2]).all()


def test_a_wall_between_is_not_looked_through() -> None:
    """The robot's nearest free place is behind the wall; another is found through the door."""
    room = Room().block((3.0, 0.0), (3.1, 3.0))
    center = np.array([3.4, 0.8, 0.05])
    place = assert_good(room.grid(), ApproachPlanner().plan(room.grid(), (2.0, 0.8), center, CUP), center)
    assert place[0] > 3.1


def test_what_is_lower_than_the_line_of_sight_hides_nothing() -> None:
    room, center = Room().block((3.0, 1.5), (3.1, 2.5), 0.1, 0.5), np.array([3.6, 2.0, 0.8])
    place = ApproachPlanner().plan(room.grid(), (1.0, 2.0), center, CUP).pose.translation
    assert place[0] < 3.0
    higher = Room().block((3.0, 1.5), (3.1, 2.5), 0.1, 1.5)
    place = ApproachPlanner().plan(higher.grid(), (1.0, 2.0), center, CUP).pose.translation
    assert place[0] > 3.1 or abs(place[1] - 2.0) > 0.4


def test_a_turned_box_is_kept_clear_of_on_its_own_sides() -> None:
    grid, size = Room().grid(), np.array([1.4, 0.2, 0.1])
    settings = ApproachSettings(near=0.4, far=0.6)
    along = ApproachPlanner(settings).plan(grid, (3.0, 0.5), np.array([3.0, 2.0, 0.05]), size, 0.0)
    assert along.pose.translation[1] == pytest.approx(2.0 - 0.1 - 0.49, abs=0.06)
    across = ApproachPlanner(settings).plan(grid, (3.0, 0.5), np.array([3.0, 2.0, 0.05]), size, np.pi / 2)
    assert across.pose.translation[1] == pytest.approx(2.0 - 0.7 - 0.49, abs=0.06)


def reason_of(
    grid: GridSnapshot, robot: tuple[float, float], center: tuple[float, float, float]
) -> ApproachError:
    with pytest.raises(ApproachError) as caught:
        ApproachPlanner().plan(grid, robot, np.array(center), CUP)
    return caught.value


def test_a_thing_on_ground_that_nobody_saw() -> None:
    error = reason_of(Room().hide((3.0, 0.0), (6.0, 4.0)).grid(), (1.0, 2.0), (4.6, 2.0, 0.0))
    assert error.reason == "unknown_ground" and "let the robot look there" in str(error)
    assert reason_of(Room().grid(), (1.0, 2.0), (40.0, 2.0, 0.0)).reason == "unknown_ground"


def test_a_thing_in_the_middle_of_something_large() -> None:
    error = reason_of(Room().block((2.2, 0.1), (5.9, 3.9)).grid(), (1.0, 2.0), (4.2, 2.0, 0.8))
    assert error.reason == "occupied"


def test_a_gap_that_is_too_narrow_says_how_wide_it_is() -> None:
    room = Room().block((2.0, 0.1), (3.9, 3.9)).block((4.2, 0.1), (5.9, 3.9))
    error = reason_of(room.grid(), (1.0, 2.0), (4.05, 2.0, 0.0))
    assert error.reason == "narrow"
    assert "0.1" in str(error) and "0.22" in str(error)


def test_an_enclosed_robot() -> None:
    room = Room().block((0.5, 1.5), (1.5, 1.6)).block((0.5, 2.4), (1.5, 2.5)).block((0.5, 1.5), (0.6, 2.5))
    room.block((1.4, 1.5), (1.5, 2.5))
    error = reason_of(room.grid(), (1.0, 2.0), (4.0, 2.0, 0.0))
    assert error.reason == "unreachable"
    assert reason_of(room.grid(), (0.55, 2.0), (4.0, 2.0, 0.0)).reason == "robot_enclosed"
    assert reason_of(room.grid(), (-9.0, 2.0), (4.0, 2.0, 0.0)).reason == "robot_enclosed"


def test_a_thing_behind_a_wall_without_a_door() -> None:
    room = Room().block((3.0, 0.0), (3.1, 4.0)).block((3.9, 0.0), (4.0, 4.0))
    assert reason_of(room.grid(), (1.0, 2.0), (3.5, 2.0, 0.0)).reason == "hidden"
    room = Room().block((2.0, 0.0), (2.1, 4.0))
    assert reason_of(room.grid(), (1.0, 2.0), (4.5, 2.0, 0.0)).reason == "unreachable"


def test_a_robot_close_to_a_wall_gets_away_from_it() -> None:
    found = ApproachPlanner().plan(Room().grid(), (0.2, 2.0), np.array([4.0, 2.0, 0.0]), CUP)
    assert found.clearance >= 0.22


def test_a_robot_that_saw_nothing_of_the_ground_at_its_feet_gets_away() -> None:
    room = Room().hide((0.5, 1.0), (2.0, 3.0))
    found = ApproachPlanner().plan(room.grid(), (1.2, 2.0), np.array([4.0, 2.0, 0.0]), CUP)
    assert found.clearance >= 0.22
    behind = room.block((0.8, 1.6), (1.6, 1.7)).block((0.8, 2.3), (1.6, 2.4)).block((0.8, 1.6), (0.9, 2.4))
    behind.block((1.5, 1.6), (1.6, 2.4))
    assert reason_of(behind.grid(), (1.2, 2.0), (4.0, 2.0, 0.0)).reason == "robot_enclosed"


@pytest.mark.parametrize("wrong", [{"near": 1.3}, {"near": -0.1}, {"radius": -1.0}])
def test_impossible_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(PerceptionError):
        ApproachSettings(**wrong)


class TestClearance:
    def test_is_the_distance_to_the_edge_of_what_is_not_free(self) -> None:
        room = clearance(Room().grid())
        at = Room().grid().indices(np.array([[1.025, 2.025], [0.125, 2.025], [0.05, 2.0]]))
        np.testing.assert_allclose(room[tuple(at.T)], [0.925, 0.025, 0.0], atol=1e-5)

    def test_ground_beyond_the_grid_and_unseen_ground_are_obstacles(self) -> None:
        open_floor = GridSnapshot(
            0.05, (0.0, 0.0), np.zeros((40, 40), np.int8), np.zeros((40, 40, 3), bool), 0.0, LOW
        )
        assert clearance(open_floor).max() == pytest.approx(0.975, abs=0.03)
        half = Room().hide((3.0, 0.0), (6.0, 4.0)).grid()
        assert clearance(half)[40, 58] == pytest.approx(0.075, abs=1e-5)

    def test_single_unseen_cells_are_passed_over_and_occupied_ones_are_not(self) -> None:
        grid = Room().hide((2.0, 2.0), (2.05, 2.05)).block((4.0, 2.0), (4.05, 2.05)).grid()
        free = known_free(grid)
        assert free[40, 40] and not free[40, 80]
        assert not known_free(Room().hide((2.0, 2.0), (2.2, 2.2)).grid())[42, 42]

    def test_a_door_is_passed_by_who_fits(self) -> None:
        room = Room().block((3.0, 0.0), (3.1, 1.7)).block((3.0, 2.3), (3.1, 4.0)).grid()
        space = clearance(room)
        assert reachable(room, space, (1.0, 1.0), 0.25)[20, 100]
        assert not reachable(room, space, (1.0, 1.0), 0.35)[20, 100]

    def test_an_empty_grid_has_no_room(self) -> None:
        empty = GridSnapshot(0.05, (0.0, 0.0), np.zeros((0, 0), np.int8), np.zeros((0, 0, 3), bool), 0.0, LOW)
        assert clearance(empty).shape == (0, 0)
        assert reason_of(empty, (0.0, 0.0), (1.0, 0.0, 0.0)).reason == "unknown_ground"
