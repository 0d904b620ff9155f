"""CameraModel: a pinhole camera from CameraInfo fields, its crops and sizes, and projection.

Pixel centres at integers; optical frame x right, y down, z forward (REP 103, REP 118).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from perception_contrast.core.arrays import Box, Float64Array, Size
from perception_contrast.core.errors import FrameError
from perception_contrast.core.grid_to_image import GridToImage

_POLYNOMIAL = ("plumb_bob", "rational_polynomial")
_FISHEYE = ("equidistant", "fisheye")
_UNDISTORT_STEPS = 50
# Numbers of coefficients that OpenCV's models take.
_POLYNOMIAL_LENGTHS = (4, 5, 8, 12, 14)
_FISHEYE_LENGTH = 4

# Difference of two aspect ratios from which two sizes cannot be of the same view.
_ASPECT = 0.02


@dataclass(frozen=True)
class CameraModel:
    """Pinhole intrinsics of an image, as of sensor_msgs/CameraInfo.

    Attributes:
        height: Of the image, pixels.
        width: Of the image, pixels.
        fx: Focal length along x, pixels.
        fy: Focal length along y, pixels.
        cx: x of the principal point, pixels.
        cy: y of the principal point, pixels.
        distortion_model: "plumb_bob", "rational_polynomial", "equidistant", "fisheye", or "" for none.
        distortion: Coefficients in OpenCV's order; empty for a rectified image.
    """

    height: int
    width: int
    fx: float
    fy: float
    cx: float
    cy: float
    distortion_model: str = ""
    distortion: tuple[float, ...] = ()


def camera_model(
    height: int,
    width: int,
    k: Sequence[float],
    d: Sequence[float] = (),
    p: Sequence[float] = (),
    distortion_model: str = "",
    *,
    rectified: bool = False,
    binning: tuple[int, int] = (0, 0),
    roi: tuple[int, int, int, int] = (0, 0, 0, 0),
) -> CameraModel:
    """The camera of the fields of a sensor_msgs/CameraInfo.

    Args:
        height: Of the image, pixels.
        width: Of the image, pixels.
        k: 9 numbers, row-major.
        d: Distortion coefficients.
        p: 12 numbers, row-major.
        distortion_model: Its name in CameraInfo.
        rectified: Whether the image is rectified: then P holds, and there is no distortion. R turns the raw
            camera into that frame and is not needed.
        binning: (x, y); 0 counts as 1.
        roi: (x_offset, y_offset, height, width); zeros for the whole image.

    Raises:
        FrameError: "uncalibrated", "unknown_distortion", "bad_distortion" or "empty".
    """
    matrix = (p[0], p[5], p[2], p[6]) if rectified and len(p) == 12 else (k[0], k[4], k[2], k[5])
    fx, fy, cx, cy = (float(value) for value in matrix)
    if not (np.isfinite([fx, fy, cx, cy]).all() and fx > 0 and fy > 0):
        raise FrameError(
            "uncalibrated", "camera_info has no focal length; calibrate the camera or set its url"
        )
    distortion = () if rectified or not any(d) else tuple(float(value) for value in d)
    if distortion and distortion_model not in (*_POLYNOMIAL, *_FISHEYE):
        raise FrameError(
            "unknown_distortion",
            f"distortion model {distortion_model!r} is not supported; rectify the image, or use one of "
            f"{', '.join((*_POLYNOMIAL, *_FISHEYE))}",
        )
    _check_distortion(distortion, distortion_model)
    camera = CameraModel(height, width, fx, fy, cx, cy, distortion_model if distortion else "", distortion)
    x_offset, y_offset, roi_height, roi_width = roi
    if roi_height and roi_width:
        camera = cropped_camera(camera, (x_offset, y_offset, x_offset + roi_width, y_offset + roi_height))
    size = (camera.height // max(1, binning[1]), camera.width // max(1, binning[0]))
    if min(size) <= 0:
        raise FrameError(
            "empty",
            f"camera_info of {width}x{height} pixels with binning {binning[0]}x{binning[1]} and a region of "
            f"{roi_width}x{roi_height} leaves no pixel; correct them in the camera's driver",
        )
    return resized_camera(camera, size)


def camera_from_info(message: Any, *, rectified: bool = False) -> CameraModel:
    """The camera of a sensor_msgs/CameraInfo message, of rclpy or of rosbags.

    Raises:
        FrameError: As of ``camera_model``. An uncalibrated camera has 0 as K[0], as CameraInfo defines it.
    """
    roi = message.roi
    return camera_model(
        int(message.height),
        int(message.width),
        message.k,
        message.d,
        message.p,
        message.distortion_model,
        rectified=rectified,
        binning=(int(message.binning_x), int(message.binning_y)),
        roi=(int(roi.x_offset), int(roi.y_offset), int(roi.height), int(roi.width)),
    )


def camera_of_info(message: Any, *, rectified: bool = False) -> CameraModel | None:
    """As ``camera_from_info``; None for a calibration that cannot be used."""
    try:
        return camera_from_info(message, rectified=rectified)
    except FrameError:
        return None


def _check_distortion(coefficients: Sequence[float], model: str) -> None:
    """Raises FrameError for coefficients that OpenCV would refuse once a point is projected."""
    if not coefficients:
        return
    polynomial = model in _POLYNOMIAL
    fits = len(coefficients) in _POLYNOMIAL_LENGTHS if polynomial else len(coefficients) >= _FISHEYE_LENGTH
    if not fits or not np.isfinite(coefficients).all():
        expected = ", ".join(map(str, _POLYNOMIAL_LENGTHS)) if polynomial else f"at least {_FISHEYE_LENGTH}"
        raise FrameError(
            "bad_distortion",
            f"camera_info has the distortion coefficients {tuple(coefficients)}; {model} takes {expected}, "
            "all finite; calibrate the camera again",
        )


def cropped_camera(camera: CameraModel, box: Box) -> CameraModel:
    """The camera of the crop (x_min, y_min, x_max, y_max) of its image."""
    x0, y0, x1, y1 = box
    return replace(camera, height=y1 - y0, width=x1 - x0, cx=camera.cx - x0, cy=camera.cy - y0)


def same_view(size: Size, image: Size) -> bool:
    """Whether two sizes, (height, width), may be of one view at two resolutions."""
    return abs(size[1] * image[0] / (size[0] * image[1]) - 1.0) <= _ASPECT


def resized_camera(camera: CameraModel, size: Size) -> CameraModel:
    """The camera of its image at (height, width)."""
    if size == (camera.height, camera.width):
        return camera
    grid = GridToImage.of_resize((camera.height, camera.width), size)
    cx, cy = grid.to_grid(camera.cx, camera.cy)
    return replace(
        camera, height=size[0], width=size[1], fx=camera.fx / grid.sx, fy=camera.fy / grid.sy, cx=cx, cy=cy
    )


def project(camera: CameraModel, points: Float64Array) -> Float64Array:
    """Projects points to pixels, with distortion.

    Args:
        camera: The camera.
        points: (n, 3) metres in the optical frame.

    Returns:
        (n, 2) pixels as (x, y); NaN for points that are not in front of the camera.
    """
    points = np.asarray(points, float).reshape(-1, 3)
    z = points[:, 2:]
    with np.errstate(divide="ignore", invalid="ignore"):
        rays = np.where(z > 0, points[:, :2] / z, np.nan)
    return _distorted(camera, rays) * [camera.fx, camera.fy] + [camera.cx, camera.cy]


def unproject(camera: CameraModel, pixels: Float64Array, depth: Float64Array | float = 1.0) -> Float64Array:
    """Back-projects pixels to points.

    Args:
        camera: The camera.
        pixels: (n, 2) as (x, y).
        depth: (n,) metres along the optical axis, or one for all.

    Returns:
        (n, 3) points in the optical frame, metres.
    """
    pixels = np.asarray(pixels, float).reshape(-1, 2)
    seen = (pixels - [camera.cx, camera.cy]) / [camera.fx, camera.fy]
    rays = seen
    if camera.distortion:
        for _ in range(_UNDISTORT_STEPS):
            rays = rays + seen - _distorted(camera, rays)
    z = np.broadcast_to(np.asarray(depth, float), len(pixels))[:, None]
    return np.concatenate([rays * z, z], axis=1)


def _distorted(camera: CameraModel, rays: Float64Array) -> Float64Array:
    """Distorted normalised coordinates (n, 2) of undistorted ones; NaN stays NaN."""
    if not camera.distortion or len(rays) == 0:
        return rays
    known = np.isfinite(rays).all(axis=1)
    result = np.full_like(rays, np.nan)
    if known.any():
        coefficients = np.array(camera.distortion, float)
        nothing, identity = np.zeros(3), np.eye(3)
        points = np.column_stack([rays[known], np.ones(int(known.sum()))])[:, None]
        if camera.distortion_model in _FISHEYE:
            bent, _ = cv2.fisheye.projectPoints(points, nothing, nothing, identity, coefficients[:4])
        else:
            bent, _ = cv2.projectPoints(points, nothing, nothing, identity, coefficients)
        result[known] = bent.reshape(-1, 2)
    return result
