"""Figures of approach poses: for how many things of a room there is one, and whether it truly is free."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from perception_contrast.core.arrays import Float64Array
from perception_contrast.mapping.geometry.boxes import Box3D
from perception_contrast.mapping.grid.approach import Approach, ApproachError, ApproachPlanner
from perception_contrast.mapping.grid.clearance import clearance
from perception_contrast.mapping.grid.grid_snapshot import GridSnapshot
from perception_contrast_training.evaluation.mapping.room_truth import VOXEL, RoomTruth

_BODY = (0.1, 1.2)  # metres over the floor between which a robot touches things


@dataclass
class ApproachFigures:
    """Counts of one room, or of several added up.

    Attributes:
        things: Things that were shown well enough.
        approached: Of them, those with a pose.
        touching: Of those poses, those at which the robot would truly touch something.
        reasons: Slugs of why there was none.
    """

    things: int = 0
    approached: int = 0
    touching: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def __iadd__(self, other: ApproachFigures) -> ApproachFigures:
        self.things += other.things
        self.approached += other.approached
        self.touching += other.touching
        self.reasons += other.reasons
        return self

    def summary(self) -> dict[str, Any]:
        """The figures as docs/evaluate.md names them."""
        return {
            "things": self.things,
            "approached": self.approached,
            "approached_share": self.approached / self.things if self.things else float("nan"),
            "touching": self.touching,
            "reasons": dict(self.reasons),
        }


def approach_figures(
    grid: GridSnapshot, truth: RoomTruth, planner: ApproachPlanner | None = None
) -> ApproachFigures:
    """Plans for each thing of a room, by its true box, from a place in the largest free region.

    Args:
        grid: The ground as the map knows it.
        truth: What the loop truly showed.
        planner: By default one with the usual settings.
    """
    planner, figures = planner or ApproachPlanner(), ApproachFigures()
    robot = _roomiest(grid, planner.settings.radius)
    standing = _standing(truth, grid.floor)
    for thing in truth.shown.values():
        box = Box3D.turned(thing.voxels.centroids)
        figures.things += 1
        try:
            found = planner.plan(grid, robot, box.center, box.size, box.yaw)
        except ApproachError as error:
            figures.reasons[error.reason] += 1
        else:
            figures.approached += 1
            figures.touching += _touches(found, standing, planner.settings.radius)
    return figures


def _roomiest(grid: GridSnapshot, radius: float) -> tuple[float, float]:
    """(x, y) of a middle cell of the largest region that has room for the robot."""
    _, regions, sizes, _ = cv2.connectedComponentsWithStats(
        (clearance(grid) >= radius).astype(np.uint8), connectivity=4
    )
    largest = 1 + int(np.argmax(sizes[1:, cv2.CC_STAT_AREA])) if len(sizes) > 1 else 0
    cells = np.argwhere(regions == largest)
    x, y = grid.places(cells[[len(cells) // 2]])[0]
    return float(x), float(y)


def _standing(truth: RoomTruth, floor: float) -> Float64Array:
    """(n, 2) x and y of all that was seen between the heights of a robot's body."""
    points = np.concatenate([thing.voxels.centroids for thing in truth.things.values()]).astype(np.float64)
    heights = points[:, 2] - floor
    return points[(heights > _BODY[0]) & (heights < _BODY[1]), :2]


def _touches(found: Approach, standing: Float64Array, radius: float) -> bool:
    """Whether something is nearer than the radius, by more than what a voxel blurs."""
    return bool((np.hypot(*(standing - (found.x, found.y)).T) < radius - VOXEL).any())
