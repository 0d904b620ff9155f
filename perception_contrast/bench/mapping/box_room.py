"""Rooms of boxes on a floor, and the exact depth that a camera has of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from scipy.spatial.transform import Rotation

from perception_contrast.core.arrays import DepthImage, Float64Array
from perception_contrast.core.camera_model import CameraModel, unproject
from perception_contrast.core.rigid_transform import RigidTransform

Corners: TypeAlias = tuple[tuple[float, float, float], tuple[float, float, float]]
"""Least and largest (x, y, z) of a box, metres."""

_FARTHEST = 30.0


def walls(x0: float, y0: float, x1: float, y1: float, height: float = 2.0) -> list[Corners]:
    """Four walls of 0.1 m around an area."""
    return [
        ((x0 - 0.1, y0 - 0.1, 0), (x1 + 0.1, y0, height)),
        ((x0 - 0.1, y1, 0), (x1 + 0.1, y1 + 0.1, height)),
        ((x0 - 0.1, y0, 0), (x0, y1, height)),
        ((x1, y0, 0), (x1 + 0.1, y1, height)),
    ]


def looking(x: float, y: float, yaw: float, *, height: float = 1.2, down: float = 0.5) -> RigidTransform:
    """The optical frame of a camera over (x, y) that looks along yaw, ``down`` radians below the horizon."""
    body = Rotation.from_euler("ZY", [yaw, down])
    optical = Rotation.from_matrix([[0, 0, 1], [-1, 0, 0], [0, -1, 0]])
    return RigidTransform(np.asarray((body * optical).as_matrix()), np.array([x, y, height]))


def depth_of(boxes: Sequence[Corners], pose: RigidTransform, camera: CameraModel) -> DepthImage:
    """(H, W) float32 metres of a floor at height 0 and boxes; NaN where nothing is within 30 m."""
    columns, rows = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    rays = unproject(camera, np.stack([columns, rows], -1).reshape(-1, 2).astype(float)) @ pose.rotation.T
    origin = pose.translation
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = np.where(rays[:, 2] < 0, -origin[2] / rays[:, 2], np.inf)
        for low, high in boxes:
            enter, leave = crossings(origin, rays, np.array(low), np.array(high))
            depth = np.where((enter <= leave) & (enter > 0), np.minimum(depth, enter), depth)
    depth[depth > _FARTHEST] = np.nan
    return depth.reshape(camera.height, camera.width).astype(np.float32)


def crossings(
    origin: Float64Array, rays: Float64Array, low: Float64Array, high: Float64Array
) -> tuple[Float64Array, Float64Array]:
    """Factors (n,) on rays (n, 3) at which they enter and leave a box; a miss enters after it leaves."""
    with np.errstate(divide="ignore", invalid="ignore"):
        first, second = (low - origin) / rays, (high - origin) / rays
    enter = np.fmax.reduce(np.minimum(first, second), axis=1)
    return enter, np.fmin.reduce(np.maximum(first, second), axis=1)
