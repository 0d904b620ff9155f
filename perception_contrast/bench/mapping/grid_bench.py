"""What a frame costs the grid of a room, alone and as one of many rooms, and what an approach pose costs."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np

from perception_contrast.bench.mapping.box_room import Corners, depth_of, looking, walls
from perception_contrast.core.camera_model import CameraModel
from perception_contrast.core.rigid_transform import RigidTransform
from perception_contrast.mapping.grid.approach import ApproachPlanner
from perception_contrast.mapping.grid.occupancy import OccupancyGrid
from perception_contrast.mapping.map_frame import MapFrame

_CAMERA = CameraModel(120, 160, 145.0, 145.0, 79.5, 59.5)
_WIDTH, _DEPTH = 6.0, 5.0
_APART = 9.0
_SIDE = 4
"""Rooms along each side of the large map."""

_FURNITURE: list[Corners] = [
    ((1.2, -0.4, 0.0), (1.9, 0.4, 0.45)),
    ((-2.7, 1.2, 0.70), (-1.3, 2.0, 0.75)),
    ((-2.9, -2.4, 0.0), (-2.0, -1.6, 1.8)),
    ((0.2, -2.4, 0.0), (2.0, -1.8, 0.8)),
]
_THING = (np.array([-2.0, 1.6, 0.8]), np.array([0.1, 0.1, 0.1]))
_ROUNDS = 3


def measure_grid() -> dict[str, Any]:
    """Processor milliseconds. docs/measure.md says what each key means."""
    frames = _frames()
    room, house = OccupancyGrid(), OccupancyGrid()
    for one in frames:
        room.integrate(one)
    for number in range(_SIDE * _SIDE):
        for one in frames:
            house.integrate(_moved(one, number))
    alone, among = list[float](), list[float]()
    # In turns, so that other load falls on both alike.
    for one in frames * _ROUNDS:
        alone.append(_ms(room, one))
        among.append(_ms(house, one))
    began = time.process_time()
    snapshot = room.snapshot()
    between = time.process_time()
    ApproachPlanner().plan(snapshot, (0.0, 0.0), *_THING)
    ended = time.process_time()
    return {
        "room_ms": round(float(np.median(alone)), 2),
        "room_max_ms": round(max(alone), 2),
        "house_ms": round(float(np.median(among)), 2),
        "snapshot_ms": round(1e3 * (between - began), 2),
        "approach_ms": round(1e3 * (ended - between), 2),
        "room_cells": int(snapshot.cells.size),
        "house_cells": int(house.snapshot().cells.size),
    }


def _frames() -> list[MapFrame]:
    """A turn around the middle of a furnished room."""
    boxes = [*walls(-_WIDTH / 2, -_DEPTH / 2, _WIDTH / 2, _DEPTH / 2), *_FURNITURE]
    poses = [looking(0.0, 0.0, yaw) for yaw in np.arange(0.0, 2 * np.pi, np.pi / 4)]
    return [MapFrame(0, "bench", _CAMERA, depth_of(boxes, pose, _CAMERA), pose) for pose in poses]


def _moved(frame: MapFrame, number: int) -> MapFrame:
    """The frame in another room of the house; room 0 is its own."""
    shift = np.array([number % _SIDE, number // _SIDE, 0.0]) * _APART
    return replace(frame, pose=RigidTransform(frame.pose.rotation, frame.pose.translation + shift))


def _ms(grid: OccupancyGrid, frame: MapFrame) -> float:
    began = time.process_time()
    grid.integrate(frame)
    return 1e3 * (time.process_time() - began)
