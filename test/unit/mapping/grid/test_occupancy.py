"""OccupancyGrid over rooms whose ground is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from box_rooms import CAMERA, Corners, depth_of, frame_of, looking, walls

from perception_contrast.core.camera_model import CameraModel
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.rigid_transform import RigidTransform
from perception_contrast.mapping.grid.grid_snapshot import FREE, OCCUPIED, UNKNOWN, GridSnapshot
from perception_contrast.mapping.grid.occupancy import GridSettings, OccupancyGrid
from perception_contrast.mapping.map_frame import MapFrame

ROOM = walls(-3, -2, 3, 2)
CRATE: Corners = ((1.0, -0.3, 0.0), (1.4, 0.3, 0.5))
EYE = looking(-1.0, 0.0, 0.0)


def look_around(grid: OccupancyGrid, boxes: Sequence[Corners], x: float, y: float, submap: int = 0) -> None:
    for yaw in np.arange(0, 2 * np.pi, np.pi / 6):
        grid.integrate(frame_of(boxes, looking(x, y, yaw)), submap)


def state(grid: OccupancyGrid | GridSnapshot, x: float, y: float) -> int:
    snapshot = grid.snapshot() if isinstance(grid, OccupancyGrid) else grid
    at = snapshot.indices(np.array([[x, y]]))
    return int(snapshot.cells[tuple(at[0])]) if snapshot.inside(at)[0] else UNKNOWN


def share(grid: OccupancyGrid, low: tuple[float, float], high: tuple[float, float], value: int) -> float:
    snapshot = grid.snapshot()
    first, last = snapshot.indices(np.array([low, high]))
    return float((snapshot.cells[first[0] : last[0], first[1] : last[1]] == value).mean())


def test_a_room_is_free_within_and_occupied_at_its_walls() -> None:
    grid = OccupancyGrid()
    look_around(grid, ROOM, -1.0, 0.0)
    look_around(grid, ROOM, 1.0, 0.0)
    assert share(grid, (-2.8, -1.8), (2.8, 1.8), FREE) > 0.99
    assert share(grid, (-2.8, -1.8), (2.8, 1.8), OCCUPIED) == 0.0
    for x, y in ((3.02, 0.0), (-3.02, 1.0), (0.5, 2.02), (1.5, -2.02)):
        assert state(grid, x, y) == OCCUPIED
    for x, y in ((3.5, 0.0), (0.0, 2.6), (-3.6, -1.0)):
        assert state(grid, x, y) == UNKNOWN


def test_cells_are_placed_as_the_message_has_them() -> None:
    grid = OccupancyGrid()
    look_around(grid, [*ROOM, CRATE], 0.0, 0.0)
    snapshot = grid.snapshot()
    occupied = snapshot.places(np.argwhere(snapshot.cells == OCCUPIED))
    front = occupied[(np.abs(occupied[:, 1]) < 0.25) & (occupied[:, 0] > 0.5) & (occupied[:, 0] < 1.6)]
    assert front[:, 0].min() == pytest.approx(1.0, abs=0.051)
    np.testing.assert_array_equal(snapshot.indices(snapshot.places(np.array([[3, 5]]))), [[3, 5]])


def test_what_a_box_hides_is_unknown() -> None:
    grid = OccupancyGrid()
    grid.integrate(frame_of([*ROOM, ((1.0, -0.3, 0.0), (1.4, 0.3, 1.5))], EYE))
    assert state(grid, 1.03, 0.0) == OCCUPIED
    assert state(grid, 2.0, 0.0) == UNKNOWN
    assert state(grid, 0.5, 0.0) == FREE


def test_a_table_is_occupied_though_the_floor_below_it_is_seen() -> None:
    grid, table = OccupancyGrid(), ((1.0, -0.5, 0.70), (1.8, 0.5, 0.75))
    for x in (-2.0, -1.0, 0.0):
        grid.integrate(frame_of([*ROOM, table], looking(x, 0.0, 0.0, down=0.3)))
    assert share(grid, (1.05, -0.4), (1.75, 0.4), OCCUPIED) > 0.9


def test_what_hangs_higher_than_the_robot_is_no_obstacle() -> None:
    grid = OccupancyGrid(GridSettings(high=1.0))
    grid.integrate(frame_of([*ROOM, ((1.0, -0.5, 1.05), (1.8, 0.5, 1.2))], EYE))
    assert share(grid, (1.05, -0.4), (1.75, 0.4), OCCUPIED) == 0.0
    assert share(grid, (1.05, -0.4), (1.75, 0.4), FREE) > 0.9


def test_missing_and_far_depth_change_nothing() -> None:
    grid = OccupancyGrid()
    frame = frame_of([*ROOM, CRATE], EYE)
    grid.integrate(frame)
    before = grid.arrays()
    for value in (np.nan, 0.0, np.inf, 40.0, -1.0):
        grid.integrate(replace(frame, depth=np.full_like(frame.depth, value)))
    for name in ("hits", "submap"):
        np.testing.assert_array_equal(grid.arrays()[name], before[name])
    np.testing.assert_array_equal(grid.arrays()["floor"] > 0, before["floor"] > 0)


@pytest.mark.parametrize("value", [np.nan, 0.0, np.inf, 65.535])
def test_missing_depth_among_good_takes_nothing_away(value: float) -> None:
    grid = OccupancyGrid()
    frame = frame_of([*ROOM, CRATE], EYE)
    grid.integrate(frame)
    before = grid.snapshot()
    depth = frame.depth.copy()
    depth[:, 40:] = value
    for _ in range(20):
        grid.integrate(replace(frame, depth=depth))
    np.testing.assert_array_equal(grid.snapshot().cells, before.cells)


def test_ground_under_a_camera_that_hovers_over_something_is_not_free() -> None:
    grid, sofa = OccupancyGrid(), ((-1.5, -0.6, 0.0), (-0.5, 0.6, 0.8))
    grid.integrate(frame_of([*ROOM, sofa], looking(1.0, 0.0, np.pi)))
    grid.integrate(frame_of([*ROOM, sofa], EYE))
    assert state(grid, -1.1, 0.0) != FREE


def test_what_went_away_is_cleared_when_it_is_seen_through_and_only_then() -> None:
    grid = OccupancyGrid()
    for _ in range(6):
        grid.integrate(frame_of([*ROOM, CRATE], EYE))
    hidden = ((0.2, -1.5, 0.0), (0.3, 1.5, 1.4))
    for _ in range(20):
        grid.integrate(frame_of([*ROOM, hidden], EYE))
    assert state(grid, 1.03, 0.0) == OCCUPIED, "what something stands before is not known to be gone"
    for _ in range(30):
        grid.integrate(frame_of(ROOM, EYE))
    assert share(grid, (1.0, -0.25), (1.4, 0.25), OCCUPIED) == 0.0
    assert share(grid, (1.0, -0.25), (1.4, 0.25), FREE) > 0.95


def test_what_stands_still_is_not_worn_away() -> None:
    rng, grid = np.random.default_rng(0), OccupancyGrid()
    boxes = [*ROOM, CRATE, ((-2.6, 1.0, 0.0), (-1.8, 1.6, 0.7))]
    look_around(grid, boxes, 0.0, 0.5)
    before = grid.snapshot()
    for _ in range(24):
        x, y, yaw = rng.uniform(-2, 0.4), rng.uniform(-1, 0.6), rng.uniform(0, 2 * np.pi)
        frame = frame_of(boxes, looking(x, y, yaw))
        noisy = frame.depth * (1 + rng.normal(0, 0.005, frame.depth.shape)).astype(np.float32)
        grid.integrate(replace(frame, depth=noisy))
    after = grid.snapshot()
    places = before.places(np.argwhere(before.cells == OCCUPIED))
    assert len(places) > 200
    assert (after.cells[tuple(after.indices(places).T)] == OCCUPIED).mean() > 0.98


def test_a_hole_in_the_floor_is_not_free() -> None:
    grid = OccupancyGrid()
    frame = frame_of([], EYE)
    below = depth_of([], RigidTransform(EYE.rotation, EYE.translation + np.array([0, 0, 0.6])), CAMERA)
    depth = frame.depth.copy()
    depth[:, 100:] = below[:, 100:]
    grid.integrate(replace(frame, depth=depth))
    assert state(grid, 0.6, 0.3) == FREE
    assert state(grid, 0.6, -0.6) == UNKNOWN


def test_the_ground_that_the_robot_stands_on_is_free() -> None:
    grid = OccupancyGrid(GridSettings(robot_radius=0.3))
    grid.integrate(frame_of(ROOM, EYE))
    for x, y in ((-1.0, 0.0), (-1.2, 0.0), (-1.0, 0.22)):
        assert state(grid, x, y) == FREE
    assert state(grid, -1.0, 0.6) == UNKNOWN


def test_the_floor_may_lie_at_another_height() -> None:
    grid = OccupancyGrid(GridSettings(floor=-1.2))
    lower = RigidTransform(EYE.rotation, EYE.translation - [0, 0, 1.2])
    grid.integrate(MapFrame(0, "front", CAMERA, depth_of([*ROOM, CRATE], EYE, CAMERA), lower))
    assert state(grid, 1.03, 0.0) == OCCUPIED
    assert state(grid, 0.4, 0.0) == FREE
    assert grid.snapshot().low == pytest.approx(-1.12)


def test_a_large_depth_image_is_thinned_and_tells_the_same() -> None:
    grid = OccupancyGrid()
    grid.integrate(frame_of([*ROOM, CRATE], EYE, CameraModel(480, 640, 400.0, 400.0, 319.5, 239.5)))
    assert state(grid, 1.03, 0.0) == OCCUPIED
    assert share(grid, (0.0, -0.4), (0.9, 0.4), FREE) == 1.0


def test_a_distorted_camera_sees_the_same_ground() -> None:
    bent = replace(CAMERA, distortion_model="plumb_bob", distortion=(-0.1, 0.02, 0.001, 0.001, 0.0))
    grid = OccupancyGrid()
    grid.integrate(frame_of([*ROOM, CRATE], EYE, bent))
    assert state(grid, 1.03, 0.0) == OCCUPIED
    assert state(grid, 0.5, 0.0) == FREE
    assert share(grid, (0.0, -0.4), (0.9, 0.4), FREE) == 1.0


def test_the_area_is_bounded_and_what_lies_beyond_is_counted() -> None:
    grid = OccupancyGrid(GridSettings(max_side=4.0))
    grid.integrate(frame_of(ROOM, looking(-2.5, 0.0, 0.0, down=0.2)))
    grid.integrate(frame_of(ROOM, looking(2.0, 0.0, 0.0, down=0.2)))
    assert max(grid.snapshot().cells.shape) <= 80
    assert grid.outside > 0
    assert state(grid, -0.5, 0.0) == FREE


def test_a_frame_may_lie_far_from_all_before() -> None:
    grid = OccupancyGrid()
    for x in (0.0, 15.0, -15.0):
        grid.integrate(frame_of(walls(x - 3, -2, x + 3, 2), looking(x - 1, 0.0, 0.0)))
    for x in (0.0, 15.0, -15.0):
        assert state(grid, x + 0.5, 0.0) == FREE


class TestMoves:
    def two_rooms(self) -> OccupancyGrid:
        grid = OccupancyGrid()
        look_around(grid, [*ROOM, CRATE], 0.0, 0.0, submap=3)
        far = [((low[0] + 8, *low[1:]), (high[0] + 8, *high[1:])) for low, high in [*ROOM, CRATE]]
        look_around(grid, far, 8.0, 0.0, submap=4)
        return grid

    def test_a_submap_moves_by_whole_cells_and_the_others_stay(self) -> None:
        grid = self.two_rooms()
        before = grid.snapshot()
        grid.move({4: RigidTransform(np.eye(3), np.array([2.0, -1.0, 0.0])), 77: RigidTransform.identity()})
        after = grid.snapshot()
        places = before.places(np.argwhere(before.cells != UNKNOWN))
        left = places[:, 0] < 4
        moved = np.where(left[:, None], places, places + np.array([2.0, -1.0]))
        np.testing.assert_array_equal(
            after.cells[tuple(after.indices(moved + 1e-6).T)], before.cells[tuple(before.indices(places).T)]
        )
        assert (after.cells != UNKNOWN).sum() == len(places)

    def test_a_turned_room_has_no_holes(self) -> None:
        grid = self.two_rooms()
        free = (grid.snapshot().cells == FREE).sum()
        turn = np.deg2rad(30)
        rotation = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
        middle = np.array([8.0, 0.0, 0.0])
        grid.move({4: RigidTransform(rotation, middle - rotation @ middle)})
        assert (grid.snapshot().cells == FREE).sum() == pytest.approx(free, rel=0.02)
        wall = middle + rotation @ [3.02, 0.5, 0]
        assert state(grid, wall[0], wall[1]) == OCCUPIED
        inner = middle + rotation @ np.array([2.0, -1.0, 0.0])
        assert state(grid, inner[0], inner[1]) == FREE

    def test_what_is_lifted_keeps_its_form(self) -> None:
        grid = OccupancyGrid()
        grid.integrate(frame_of([((1.0, -0.5, 0.0), (1.2, 0.5, 0.4))], EYE), submap=1)
        tall = grid.snapshot().columns.any(axis=(0, 1)).nonzero()[0]
        grid.move({1: RigidTransform(np.eye(3), np.array([0.0, 0.0, 0.2]))})
        np.testing.assert_array_equal(grid.snapshot().columns.any(axis=(0, 1)).nonzero()[0], tall + 4)
        grid.move({1: RigidTransform(np.eye(3), np.array([0.0, 0.0, 9.0]))})
        assert not grid.snapshot().columns.any()


def test_arrays_bring_the_grid_back_and_others_are_refused() -> None:
    grid = OccupancyGrid()
    grid.integrate(frame_of([*ROOM, CRATE], EYE), submap=2)
    back = OccupancyGrid.of_arrays(grid.arrays())
    assert back.snapshot().origin == grid.snapshot().origin
    np.testing.assert_array_equal(back.snapshot().cells, grid.snapshot().cells)
    back.integrate(frame_of([*ROOM, CRATE], EYE))
    with pytest.raises(PerceptionError, match="heights"):
        OccupancyGrid.of_arrays(grid.arrays(), GridSettings(high=1.0))
    with pytest.raises(PerceptionError, match="'floor'"):
        OccupancyGrid.of_arrays({name: value for name, value in grid.arrays().items() if name != "floor"})


def test_a_box_is_forgotten() -> None:
    grid = OccupancyGrid()
    grid.integrate(frame_of([*ROOM, CRATE], EYE))
    grid.forget_box(np.array([0.0, -0.4, 0.3]), np.array([1.5, 0.4, 0.45]))
    tall = grid.snapshot().columns[tuple(grid.snapshot().indices(np.array([[1.03, 0.0]]))[0])]
    assert tall[:3].all() and not tall[5:7].any()
    assert (state(grid, 1.03, 0.0), state(grid, 0.5, 0.0)) == (OCCUPIED, FREE)
    grid.forget_box(np.array([0.9, -0.4, -0.1]), np.array([1.5, 0.4, 0.6]))
    assert state(grid, 1.03, 0.0) == UNKNOWN
    assert state(grid, 0.5, 0.0) == FREE
    grid.forget_box(np.array([-90, -90, 0]), np.array([-80, -80, 1]))
    grid.clear()
    assert grid.snapshot().cells.size == 0


def test_depth_of_another_size_than_the_camera_is_refused() -> None:
    frame = frame_of(ROOM, EYE)
    with pytest.raises(PerceptionError, match=r"160x120 .* 640x480"):
        OccupancyGrid().integrate(replace(frame, camera=CameraModel(480, 640, 400.0, 400.0, 319.5, 239.5)))


@pytest.mark.parametrize("wrong", [{"resolution": 0.0}, {"low": 2.0}, {"low": 0.0}, {"max_range": -1.0}])
def test_impossible_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(PerceptionError):
        GridSettings(**wrong)
