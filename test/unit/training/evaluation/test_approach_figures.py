"""Figures of approach poses in rooms of boxes whose truth is known."""

from __future__ import annotations

import numpy as np
from box_rooms import CAMERA, Corners, depth_of, frame_of, looking, walls

from perception_contrast.mapping.grid.approach import ApproachPlanner, ApproachSettings
from perception_contrast.mapping.grid.occupancy import OccupancyGrid
from perception_contrast_sim.objects.props import SceneObject
from perception_contrast_training.evaluation.mapping.approach_figures import approach_figures
from perception_contrast_training.evaluation.mapping.room_truth import RoomTruth

FLOOR, FIRST = 0, 3
CRATE: Corners = ((1.0, -0.3, 0.0), (1.4, 0.3, 0.5))
PEN: list[Corners] = walls(-2.8, -1.8, -1.6, -0.6, 0.6)
RING: list[Corners] = [
    ((1.7, -1.6, 0.0), (2.7, 1.6, 0.3)),
    ((0.7, -1.6, 0.0), (1.7, -0.6, 0.3)),
    ((0.7, 0.6, 0.0), (1.7, 1.6, 0.3)),
]


def room_of(things: dict[str, Corners], others: list[Corners]) -> tuple[OccupancyGrid, RoomTruth]:
    """A loop in a room of 6 by 4 m; what a pixel shows is told by where its point lies."""
    boxes = [*walls(-3, -2, 3, 2), *others, *things.values()]
    names = {FIRST + number: name for number, name in enumerate(things)}
    objects = {FLOOR: SceneObject(FLOOR, "floor")}
    objects |= {number: SceneObject(number, name) for number, name in names.items()}
    grid, truth = OccupancyGrid(), RoomTruth(objects, 1e-3)
    for x in (-1.0, 0.5):
        for yaw in np.arange(0, 2 * np.pi, np.pi / 4):
            frame = frame_of(boxes, looking(x, 0.0, yaw, height=1.4))
            floor, shown = depth_of([], frame.pose, CAMERA), np.full(frame.depth.shape, FLOOR, np.int32)
            for number, name in names.items():
                alone = depth_of([things[name]], frame.pose, CAMERA)
                shown[(alone == frame.depth) & (alone != floor)] = number
            truth.add(frame, shown)
            grid.integrate(frame)
    return grid, truth


def test_things_in_the_open_are_approached_and_those_in_a_pen_are_not() -> None:
    pot: Corners = ((-2.3, -1.3, 0.0), (-2.1, -1.1, 0.4))
    grid, truth = room_of({"crate": CRATE, "pot": pot}, PEN)
    planner = ApproachPlanner(ApproachSettings(near=0.2, far=0.35))
    figures = approach_figures(grid.snapshot(), truth, planner)
    assert (figures.things, figures.approached, figures.touching) == (2, 1, 0)
    assert sum(figures.reasons.values()) == 1
    figures += figures
    summary = figures.summary()
    assert (summary["things"], summary["approached_share"]) == (4, 0.5)


def test_a_grid_that_missed_what_stands_around_a_thing_is_told_by_what_the_robot_would_touch() -> None:
    _, truth = room_of({"crate": CRATE, "ring": ((-0.3, -1.6, 0.0), (0.7, 1.6, 0.3))}, RING)
    emptied = room_of({"crate": CRATE}, [])[0].snapshot()
    truth.things[FIRST + 1].frames.clear()
    figures = approach_figures(emptied, truth)
    assert (figures.things, figures.approached, figures.touching) == (1, 1, 1)
