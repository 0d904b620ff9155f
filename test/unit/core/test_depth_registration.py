"""Depth at the colour camera's pixels, against a plane's equation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception_contrast.core.camera_model import CameraModel
from perception_contrast.core.depth_registration import DepthRegistration
from perception_contrast.core.errors import FrameError


def view_of_ramp(camera: CameraModel) -> np.ndarray:
    """Depth of the plane z = 2 + 0.5 x: along the ray of a pixel, z = 2 / (1 - 0.5 x / z)."""
    columns = (np.arange(camera.width) - camera.cx) / camera.fx
    return np.tile((2 / (1 - 0.5 * columns)).astype(np.float32), (camera.height, 1))


@settings(max_examples=30, deadline=None)
@given(
    size=st.tuples(st.integers(20, 60), st.integers(20, 60)),
    focal=st.floats(25, 60),
    shift=st.floats(-4, 4),
)
def test_registered_depth_is_what_the_color_camera_would_measure(
    size: tuple[int, int], focal: float, shift: float
) -> None:
    height, width = size
    depth_camera = CameraModel(height, width, focal, focal, width / 2 + shift, height / 2)
    color_camera = CameraModel(48, 64, 55.0, 55.0, 31.5, 23.5)
    registered = DepthRegistration.of_cameras(depth_camera, color_camera).apply(view_of_ramp(depth_camera))
    truth = view_of_ramp(color_camera)
    x, y = np.meshgrid(np.arange(64), np.arange(48))
    u = (x - 31.5) / 55 * focal + depth_camera.cx
    v = (y - 23.5) / 55 * focal + depth_camera.cy
    seen = (u > -0.49) & (u < width - 0.51) & (v > -0.49) & (v < height - 0.51)
    blind = (u < -0.51) | (u > width - 0.49) | (v < -0.51) | (v > height - 0.49)
    assert np.isnan(registered[blind]).all()
    # Half a depth pixel off at most: dz/du = 0.5 z^2 / 2 / focal.
    assert (np.abs(registered - truth)[seen] <= 0.51 * 0.25 * truth[seen] ** 2 / focal * 1.2).all()


def test_registration_refuses_other_sizes() -> None:
    camera = CameraModel(48, 64, 55.0, 55.0, 31.5, 23.5)
    with pytest.raises(FrameError, match="camera_info"):
        DepthRegistration.of_cameras(camera, camera).apply(np.ones((24, 32), np.float32))
