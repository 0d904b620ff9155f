"""Posed frames of a made-up room for tests of the map."""

from __future__ import annotations

from typing import Any

import numpy as np

from perception_contrast.core.arrays import DepthImage, FeatureArray
from perception_contrast.core.camera_model import CameraModel
from perception_contrast.core.feature_grid import FeatureGrid
from perception_contrast.core.grid_to_image import GridToImage
from perception_contrast.core.rigid_transform import RigidTransform
from perception_contrast.mapping.map_frame import MapFrame

HEIGHT, WIDTH = 48, 64
CAMERA = CameraModel(HEIGHT, WIDTH, 60.0, 60.0, 31.5, 23.5)
# A camera that looks along the map's x, with z up.
FORWARD = RigidTransform(np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]), np.zeros(3))


def wall(metres: float) -> DepthImage:
    """Depth of a wall across the view."""
    return np.full((HEIGHT, WIDTH), metres, np.float32)


def feature_grid(values: FeatureArray, grid_to_image: GridToImage | None = None) -> FeatureGrid:
    """Features (h, w, c) that cover the whole image evenly, without another map to it."""
    place = grid_to_image or GridToImage.of_resize((HEIGHT, WIDTH), (values.shape[0], values.shape[1]))
    return FeatureGrid(values, "model", "model@0", place, (HEIGHT, WIDTH))


def map_frame(depth: DepthImage, **fields: Any) -> MapFrame:
    """A frame at stamp 0, at the map's origin where no pose is given."""
    given = {"stamp": 0, "camera_name": "front", "camera": CAMERA, "pose": FORWARD} | fields
    return MapFrame(depth=depth, **given)
