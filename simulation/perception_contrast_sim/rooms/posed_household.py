"""PosedHousehold: images of a simulated room with depth and poses, for a map that is built without ROS."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.frame import Frame, PosedFrame
from perception_contrast.core.rigid_transform import RigidTransform
from perception_contrast_sim.rooms.household import ORBIT_SECONDS, Household

FRAME_ID = "camera_color_optical_frame"


class PosedHousehold:
    """One round of the camera through a room.

    Args:
        seed: Of the room.
        frames: Number of images.

    Attributes:
        map_frame: Frame of the poses; its origin is the middle of the floor, its z points up.
        skipped: Nothing is ever left out.

    Raises:
        PerceptionError: The number is below 1, or there is no off-screen renderer on this machine.
    """

    map_frame = "map"

    def __init__(self, seed: int, frames: int) -> None:
        if frames < 1:
            raise PerceptionError(f"{frames} images of the household; give at least 1")
        self._seed, self._frames = seed, frames
        self.skipped: Counter[str] = Counter()

    def count(self) -> int:
        """Number of images."""
        return self._frames

    def __iter__(self) -> Iterator[PosedFrame]:
        house = Household(self._seed)
        try:
            for number in range(self._frames):
                seconds = number * ORBIT_SECONDS / self._frames
                seen = house.render(seconds, depth=True)
                frame = Frame(seen.rgb, round(seconds * 1e9) + 1, FRAME_ID, seen.depth, house.camera)
                yield PosedFrame(frame, RigidTransform(seen.view.rotation, seen.view.position))
        finally:
            house.close()
