"""From a posed frame to depth and colours of a camera without distortion, in a size for the surface."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import cv2
import numpy as np

from perception_contrast.core.arrays import FloatArray, Size
from perception_contrast.core.camera_model import CameraModel, project, resized_camera, unproject
from perception_contrast.core.errors import PerceptionError
from perception_contrast.mapping.geometry.keyframes import DEPTH_SCALE, PinholeView
from perception_contrast.mapping.map_frame import MapFrame

# Longest sides of a view: at 4 m a pixel of a usual camera covers 1.5 cm then.
MOST: Size = (240, 320)
# What 16 bits of millimetres hold.
_MOST_METRES = 65.5
_CAMERAS = 8


def pinhole_view(frame: MapFrame, max_range: float) -> PinholeView:
    """Rectifies and reduces a frame. Depth is sampled, never averaged: no point lies between two things.

    Depth of NaN, zero, below zero or beyond ``max_range`` metres is none.

    Raises:
        PerceptionError: Depth, image and camera have different sizes, or the pose is not finite.
    """
    size = (frame.camera.height, frame.camera.width)
    if frame.depth.shape != size or (frame.image is not None and frame.image.shape[:2] != size):
        raise PerceptionError(
            f"depth or image do not have the {size[1]}x{size[0]} pixels of their camera; register them to it"
        )
    if not (np.isfinite(frame.pose.rotation).all() and np.isfinite(frame.pose.translation).all()):
        raise PerceptionError("the camera's pose is not finite; check who publishes it")
    camera, x, y = _maps(frame.camera)
    depth = cv2.remap(frame.depth, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=0.0)
    usable = (depth > 0) & (depth <= min(max_range, _MOST_METRES))
    units = np.where(usable, np.rint(depth * DEPTH_SCALE), 0.0).astype(np.uint16)
    colors = None
    if frame.image is not None:
        colors = cv2.remap(frame.image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        colors[units == 0] = 0
    return PinholeView(units, colors, camera, frame.pose, frame.stamp)


@lru_cache(maxsize=_CAMERAS)
def _maps(camera: CameraModel) -> tuple[CameraModel, FloatArray, FloatArray]:
    """The reduced camera without distortion, and x and y (h, w) of its pixels in the image of ``camera``."""
    share = min(1.0, MOST[0] / camera.height, MOST[1] / camera.width)
    size = (max(1, round(share * camera.height)), max(1, round(share * camera.width)))
    reduced = resized_camera(replace(camera, distortion_model="", distortion=()), size)
    y, x = np.mgrid[: size[0], : size[1]].astype(float)
    seen = project(camera, unproject(reduced, np.stack([x.ravel(), y.ravel()], axis=1)))
    # A pixel that the lens does not show lies outside the image.
    seen = np.where(np.isfinite(seen), seen, -1e4).reshape(*size, 2).astype(np.float32)
    return reduced, np.ascontiguousarray(seen[..., 0]), np.ascontiguousarray(seen[..., 1])
