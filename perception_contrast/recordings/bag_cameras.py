"""The camera of recorded images, by the CameraInfo beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from perception_contrast.core.arrays import Size
from perception_contrast.core.camera_model import CameraModel, camera_of_info, resized_camera
from perception_contrast.core.errors import FrameError
from perception_contrast.recordings.bag_messages import BagMessage

_MOST_PIXELS = 1 << 20
"""A side that no camera has; a CameraInfo that claims more is damaged."""


def usable_camera(info: Any, *, rectified: bool = False) -> CameraModel | None:
    """The camera of a sensor_msgs/CameraInfo, binning and region of interest applied.

    None for one that cannot be used: all zero, as drivers send before they have read their calibration,
    of an unknown distortion, or with a region or binning that leaves no pixel.
    """
    try:
        camera = camera_of_info(info, rectified=rectified)
    except (FrameError, ArithmeticError, ValueError, IndexError, TypeError):
        return None
    if camera is None or max(camera.height, camera.width) > _MOST_PIXELS:
        return None
    nothing = camera.height <= 0 or camera.width <= 0
    # Some drivers fill in K and leave the size out; then it is that of the images.
    sizeless = int(info.height) == 0 and int(info.width) == 0
    return None if nothing and not sizeless else camera


def first_camera(
    messages: Iterable[BagMessage], fields_of: Callable[[BagMessage], Any], *, rectified: bool = False
) -> CameraModel | None:
    """The camera of the first CameraInfo that can be used; None if there is none."""
    for message in messages:
        try:
            camera = usable_camera(fields_of(message), rectified=rectified)
        except FrameError:
            continue
        if camera is not None:
            return camera
    return None


def camera_at(camera: CameraModel, size: Size) -> CameraModel:
    """The camera of images of (height, width), whatever size its CameraInfo names."""
    if camera.height <= 0 or camera.width <= 0:
        return replace(camera, height=size[0], width=size[1])
    return resized_camera(camera, size)
