"""Posed frames along an endless wall with relief: each step sideways shows new ground."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from perception_contrast.core.camera_model import CameraModel
from perception_contrast.core.feature_grid import FeatureGrid, unit_vectors
from perception_contrast.core.grid_to_image import GridToImage
from perception_contrast.core.rigid_transform import RigidTransform
from perception_contrast.mapping.map_frame import MapFrame

CAMERA = CameraModel(480, 640, 580.0, 580.0, 319.5, 239.5)
# Rows and columns of the features, as of an image of 336x448 in patches of 14.
GRID = (24, 32)
# At this distance 17,000 points of a frame lie in about 2,700 voxels of 5 cm.
_DISTANCE, _RELIEF = 2.2, 0.15
# Wider than a view, so that neighbours share no voxel.
_STEP = 3.3
# Columns of the corridor before it continues one storey higher.
_COLUMNS = 200
_HOLES = 0.1
_PERIOD = 100_000_000


class Corridor:
    """Frames by number. Frames of one number are alike, but for their stamps.

    Args:
        channels: Of a feature vector.
        seed: Of depth and features.
    """

    def __init__(self, channels: int, seed: int = 0) -> None:
        self.channels = channels
        self._rng = np.random.default_rng(seed)

    def frame(self, number: int, stamp: int) -> MapFrame:
        """The frame of one place.

        Args:
            number: Of the place; those of neighbours share no voxel.
            stamp: Which frame of all it is; a tenth of a second each.
        """
        column, storey = number % _COLUMNS, number // _COLUMNS
        forward = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
        pose = RigidTransform(forward, np.array([0.0, _STEP * column, _STEP * storey]))
        place = GridToImage.of_resize((CAMERA.height, CAMERA.width), GRID)
        features = FeatureGrid(
            self._features[number % len(self._features)],
            "bench",
            "bench",
            place,
            (CAMERA.height, CAMERA.width),
        )
        return MapFrame(
            stamp * _PERIOD, "bench", CAMERA, self._depth, pose, image=self._image, semantic=features
        )

    def texts(self, count: int) -> np.ndarray:
        """Unit vectors (count, channels) float32."""
        vectors = np.random.default_rng(count).standard_normal((count, self.channels))
        return np.asarray(unit_vectors(vectors.astype(np.float32)))

    @cached_property
    def _features(self) -> np.ndarray:
        return np.asarray(self._rng.standard_normal((8, *GRID, self.channels)), np.float32)

    @cached_property
    def _depth(self) -> np.ndarray:
        y, x = np.mgrid[: CAMERA.height, : CAMERA.width]
        depth = _DISTANCE + _RELIEF * np.sin(x / 70.0) * np.cos(y / 90.0)
        depth += self._rng.normal(0.0, 0.004, depth.shape)
        depth[self._rng.random(depth.shape) < _HOLES] = np.nan
        return np.asarray(depth, np.float32)

    @cached_property
    def _image(self) -> np.ndarray:
        return self._rng.integers(0, 255, (CAMERA.height, CAMERA.width, 3), np.uint8)
