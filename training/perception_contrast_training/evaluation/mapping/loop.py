"""A loop of a camera through the simulated household, as the frames that a map takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.camera_model import CameraModel
from perception_contrast.core.rigid_transform import RigidTransform
from perception_contrast.mapping.map_frame import MapFrame
from perception_contrast_sim.rooms.household import ORBIT_SECONDS, Household

SECOND = 1_000_000_000


@dataclass(frozen=True)
class LoopFrame:
    """A posed frame without detections, and what its pixels truly show.

    Attributes:
        frame: Image, exact depth and pose.
        instances: (H, W) int32, keys of ``Household.objects``, -1 for nothing.
    """

    frame: MapFrame
    instances: NDArray[np.int32]


def loop(house: Household, frames: int, turn: int = 0) -> Iterator[LoopFrame]:
    """One turn around the room.

    Args:
        house: The room, as it is furnished now.
        frames: Of the turn, evenly spread in time.
        turn: How many turns there were before.
    """
    camera: CameraModel = house.camera
    for number in range(frames):
        seconds = ORBIT_SECONDS * (turn + number / frames)
        seen = house.render(seconds, depth=True, labels=True)
        assert seen.depth is not None and seen.instances is not None
        pose = RigidTransform(seen.view.rotation, seen.view.position)
        frame = MapFrame(round(seconds * SECOND), "simulated", camera, seen.depth, pose, image=seen.rgb)
        yield LoopFrame(frame, seen.instances)
