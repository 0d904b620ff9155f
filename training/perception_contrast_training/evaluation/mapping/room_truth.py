"""RoomTruth: what a camera's loop through a simulated room truly showed, as points of each thing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from perception_contrast.core.arrays import Float64Array
from perception_contrast.core.camera_model import unproject
from perception_contrast.mapping.map_frame import MapFrame
from perception_contrast.mapping.objects.voxel_set import VoxelSet
from perception_contrast_sim.objects.props import SceneObject
from perception_contrast_sim.render.scene_builder import STRUCTURE

VOXEL = 0.05
LEAST_FRAMES = 2  # that show enough of a thing for it to be asked for
_STRIDE = 2


@dataclass
class TrueThing:
    """One thing of the room.

    Attributes:
        number: Its value in instance images.
        name: Its category.
        voxels: What was seen of it, map frame.
        frames: Numbers of the frames that show enough of it.
    """

    number: int
    name: str
    voxels: VoxelSet
    frames: list[int] = field(default_factory=list)

    def distance(self, point: Float64Array) -> float:
        """Metres from a point to the nearest point of the thing that was seen."""
        return float(np.linalg.norm(self.voxels.centroids - point, axis=1).min(initial=np.inf))


class RoomTruth:
    """Gathers frames of one loop.

    Args:
        objects: What the values of instance images are.
        least: Share of an image from which on a thing is shown well enough.
    """

    def __init__(self, objects: Mapping[int, SceneObject], least: float) -> None:
        self.objects, self._least = dict(objects), least
        self.things: dict[int, TrueThing] = {}
        self._frames = 0

    def add(self, frame: MapFrame, instances: NDArray[np.int32]) -> None:
        """Takes what a frame shows of each thing; floor, walls and ceiling are things too."""
        parts = (slice(None, None, _STRIDE), slice(None, None, _STRIDE))
        depth, numbers = frame.depth[parts], instances[parts]
        rows, columns = np.nonzero(np.isfinite(depth) & (numbers >= 0))
        pixels = np.asarray(np.stack([columns, rows], axis=1) * _STRIDE, np.float64)
        seen = unproject(frame.camera, pixels, depth[rows, columns].astype(np.float64))
        points, owners = frame.pose.apply(seen), numbers[rows, columns]
        for number in np.unique(owners):
            voxels = VoxelSet.of_points(points[owners == number], VOXEL)
            thing = self.things.get(int(number))
            if thing is None:
                name = self.objects[int(number)].category
                self.things[int(number)] = thing = TrueThing(int(number), name, voxels)
            else:
                thing.voxels = thing.voxels.joined(voxels)
            if (owners == number).sum() >= self._least * numbers.size:
                thing.frames.append(self._frames)
        self._frames += 1

    @property
    def shown(self) -> dict[int, TrueThing]:
        """The things, without the structure of the room, that enough frames show well enough."""
        return {
            number: thing
            for number, thing in self.things.items()
            if number >= len(STRUCTURE) and len(thing.frames) >= LEAST_FRAMES
        }

    def owner(self, voxels: VoxelSet) -> int:
        """Value of the thing that some voxels lie on; -1 for none.

        Of those that most of the voxels are shared with it is the one that they are the largest share of: a
        mug's lowest voxels are the table's too.
        """
        shared = {
            number: int(np.count_nonzero(thing.voxels.rows_of(voxels.codes) >= 0))
            for number, thing in self.things.items()
        }
        most = [number for number, count in shared.items() if 2 * count >= len(voxels)]
        if most:
            return max(most, key=lambda number: shared[number] / len(self.things[number].voxels))
        return self._nearest(voxels)

    def _nearest(self, voxels: VoxelSet) -> int:
        """By the nearest point of anything, within two voxels of most of them."""
        distances = {
            number: float(np.median(cKDTree(thing.voxels.centroids).query(voxels.centroids)[0]))
            for number, thing in self.things.items()
        }
        best = min(distances, key=lambda number: distances[number], default=-1)
        return best if best >= 0 and distances[best] < 2 * VOXEL else -1


def is_structure(number: int) -> bool:
    """Whether a value of instance images is floor, wall or ceiling."""
    return 0 <= number < len(STRUCTURE)


def present_names(truth: RoomTruth, means: Callable[[str, str], bool]) -> dict[str, list[int]]:
    """Category names of the things that are shown, to the things that may be called so.

    Args:
        truth: Of the loop.
        means: Whether people may call a thing of a category by a noun: (noun, category).
    """
    shown = truth.shown
    names = sorted({thing.name for thing in shown.values()})
    return {
        name: [number for number, thing in truth.things.items() if means(name, thing.name)] for name in names
    }
