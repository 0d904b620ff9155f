"""A room of blocks with exact depth, masks and vectors, by ray casting in NumPy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from perception_contrast.bench.mapping.box_room import crossings
from perception_contrast.core.camera_model import CameraModel, unproject
from perception_contrast.core.detection import Detection, Scores
from perception_contrast.core.feature_grid import FeatureGrid
from perception_contrast.core.grid_to_image import GridToImage
from perception_contrast.core.rigid_transform import RigidTransform
from perception_contrast.mapping.map_frame import MapFrame, RegionVectors

CAMERA = CameraModel(120, 160, 120.0, 120.0, 79.5, 59.5)
SECOND = 1_000_000_000
LANGUAGE, APPEARANCE = 32, 48


def vector(name: str, length: int) -> np.ndarray:
    """A unit vector (length,) float32 that is the same for the same name."""
    seed = int.from_bytes(name.encode()[:16].ljust(16, b"."), "little") % (2**63)
    drawn = np.random.default_rng([seed, length]).normal(size=length)
    return (drawn / np.linalg.norm(drawn)).astype(np.float32)


@dataclass(frozen=True)
class Block:
    """An axis-aligned block. Its vectors follow from its label and its look."""

    label: str
    centre: tuple[float, float, float]
    size: tuple[float, float, float]
    look: str = ""
    probability: float = 0.8

    @property
    def low(self) -> np.ndarray:
        return np.array(self.centre) - np.array(self.size) / 2

    @property
    def high(self) -> np.ndarray:
        return np.array(self.centre) + np.array(self.size) / 2

    def at(self, *centre: float) -> Block:
        """The same block elsewhere."""
        return Block(self.label, centre, self.size, self.look, self.probability)  # type: ignore[arg-type]

    def vectors(self) -> RegionVectors:
        look = 0.5 * vector(self.look or self.label, APPEARANCE) + 0.5 * vector(self.label, APPEARANCE)
        return RegionVectors(vector(self.label, LANGUAGE), look / np.linalg.norm(look))


def looking(eye: Sequence[float], target: Sequence[float]) -> RigidTransform:
    """Pose of a camera at ``eye`` that looks at ``target``; x right, y down, z forward."""
    forward = np.subtract(target, eye).astype(float)
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    return RigidTransform(np.column_stack([right, np.cross(forward, right), forward]), np.asarray(eye, float))


@dataclass
class BlockRoom:
    """Blocks on a floor at z = 0 within four walls.

    Attributes:
        blocks: What stands in it now.
        half: Metres from the middle to each wall.
    """

    blocks: list[Block] = field(default_factory=list)
    half: float = 4.0

    def cast(self, pose: RigidTransform) -> tuple[np.ndarray, np.ndarray]:
        """Depth (H, W) float32 metres, and the number of the block (H, W) int, -1 for floor and walls."""
        u, v = np.meshgrid(np.arange(CAMERA.width), np.arange(CAMERA.height))
        rays = unproject(CAMERA, np.stack([u.ravel(), v.ravel()], axis=1)) @ pose.rotation.T
        corner = np.array([self.half, self.half, self.half])
        _, depth = crossings(pose.translation, rays, np.array([-self.half, -self.half, 0.0]), corner)
        numbers = np.full(len(rays), -1)
        for number, block in enumerate(self.blocks):
            near, far = crossings(pose.translation, rays, block.low, block.high)
            hit = (near < far) & (near > 0) & (near < depth)
            depth[hit], numbers[hit] = near[hit], number
        shape = (CAMERA.height, CAMERA.width)
        return depth.reshape(shape).astype(np.float32), numbers.reshape(shape)

    def frame(
        self,
        pose: RigidTransform,
        stamp: int,
        *,
        camera_name: str = "front",
        hidden: Iterable[str] = (),
        tracks: bool = False,
        least: int = 12,
        dense: bool = False,
    ) -> tuple[MapFrame, list[np.ndarray]]:
        """What a camera sees, and the points of each detection in the map.

        Args:
            pose: Of the camera.
            stamp: Seconds, as a whole number.
            camera_name: Of the camera.
            hidden: Labels that the detector misses.
            tracks: Whether detections have track ids, which are the blocks' labels.
            least: Pixels that a block needs to be detected.
            dense: Whether there are features of the image, a cell for four by four pixels.
        """
        depth, numbers = self.cast(pose)
        missed = set(hidden)
        detections, vectors, lifted = [], [], []
        for number, block in enumerate(self.blocks):
            mask = numbers == number
            if block.label in missed or np.count_nonzero(mask) < least:
                continue
            detections.append(detection_of(mask, block, block.label if tracks else ""))
            vectors.append(block.vectors())
            rows, columns = np.nonzero(mask)
            seen = unproject(CAMERA, np.stack([columns, rows], axis=1), depth[mask].astype(float))
            lifted.append(pose.apply(seen).astype(np.float32))
        image = np.full((*depth.shape, 3), 90, np.uint8)
        image[numbers >= 0] = (200, 40, 40)
        frame = MapFrame(
            stamp=stamp * SECOND,
            camera_name=camera_name,
            camera=CAMERA,
            depth=depth,
            pose=pose,
            image=image,
            detections=tuple(detections),
            vectors=tuple(vectors),
            semantic=self._features(numbers) if dense else None,
            labels=frozenset(block.label for block in self.blocks) | missed,
            semantic_space="words@1",
            spatial_space="looks@1",
        )
        return frame, lifted

    def _features(self, numbers: np.ndarray) -> FeatureGrid:
        """The vector of what each cell's middle shows; floor and walls are a thing of their own."""
        cells = numbers[2::4, 2::4]
        table = np.stack([*(block.vectors().semantic for block in self.blocks), vector("room", LANGUAGE)])
        to_image = GridToImage.of_resize(numbers.shape, cells.shape)
        return FeatureGrid(table[cells], "words", "words@1", to_image, numbers.shape, normalized=True)


def detection_of(mask: np.ndarray, block: Block, track: str = "") -> Detection:
    """The detection of a mask (H, W)."""
    rows, columns = np.nonzero(mask)
    x0, y0, x1, y1 = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    box = (int(x0), int(y0), int(x1), int(y1))
    scores = Scores(0.3, 0.7, block.probability)
    return Detection(block.label, scores, box, mask[y0:y1, x0:x1].copy(), track_id=track)
