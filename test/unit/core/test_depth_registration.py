"""Depth at the colour camera's pixels, against a plane's equation and a wall behind a plate."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception_contrast.core.camera_model import CameraModel
from perception_contrast.core.depth_registration import DepthRegistration
from perception_contrast.core.errors import FrameError
from perception_contrast.core.rigid_transform import RigidTransform


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


DEPTH_CAMERA = CameraModel(60, 80, 70.0, 70.0, 39.5, 29.5)
COLOR_CAMERA = CameraModel(120, 160, 150.0, 150.0, 79.5, 59.5)


def plane_depth(
    camera: CameraModel, camera_from_world: RigidTransform, normal: np.ndarray, offset: float
) -> np.ndarray:
    """Depth that a camera measures of the world's plane ``normal . x = offset``."""
    x, y = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    rays = np.stack([(x - camera.cx) / camera.fx, (y - camera.cy) / camera.fy, np.ones(x.shape)], -1)
    own = camera_from_world.rotation @ normal
    return ((offset + own @ camera_from_world.translation) / (rays @ own)).astype(np.float32)


@pytest.mark.parametrize("angles", [(0.0, 0.0, 0.0), (0.05, -0.08, 0.03)])
def test_depth_of_a_camera_apart_is_what_the_color_camera_would_measure(
    angles: tuple[float, float, float],
) -> None:
    quaternion = np.array([*np.array(angles) / 2, 1.0])
    moved = RigidTransform.of_quaternion([0.06, -0.02, 0.01], quaternion)
    normal, offset = np.array([0.3, -0.2, 1.0]), 2.0
    seen = plane_depth(DEPTH_CAMERA, RigidTransform.identity(), normal, offset)
    truth = plane_depth(COLOR_CAMERA, moved, normal, offset)
    registered = DepthRegistration.of_cameras(DEPTH_CAMERA, COLOR_CAMERA, moved).apply(seen)
    inner = registered[25:-25, 30:-30]
    assert registered.shape == (120, 160) and not np.isnan(inner).any()
    # A colour pixel takes the depth of a depth pixel's centre, about one colour pixel away.
    assert np.abs(inner - truth[25:-25, 30:-30]).max() < 0.03


def test_the_nearest_surface_hides_what_lies_behind_it() -> None:
    depth = np.full((60, 80), 3.0, np.float32)
    depth[:, :40] = 1.0  # a plate that ends at the optical axis
    right = RigidTransform(np.eye(3), np.array([0.2, 0.0, 0.0]))  # the depth camera is right of the other
    registered = DepthRegistration.of_cameras(DEPTH_CAMERA, COLOR_CAMERA, right).apply(depth)
    row = registered[60]
    # The plate's edge x = 0.2 at 1 m and the wall's x = 0.2 at 3 m, both seen from the colour camera.
    plate_edge, wall_edge = 79.5 + 150 * 0.2, 79.5 + 150 * 0.2 / 3
    assert wall_edge < plate_edge
    columns = np.arange(160)
    assert (row[(columns > 27) & (columns < plate_edge - 2)] == 1.0).all()
    assert (row[(columns > plate_edge + 2) & (columns < 150)] == 3.0).all()
    left = RigidTransform(np.eye(3), np.array([-0.2, 0.0, 0.0]))
    uncovered = DepthRegistration.of_cameras(DEPTH_CAMERA, COLOR_CAMERA, left).apply(depth)[60]
    gap = (columns > 79.5 - 150 * 0.2 + 2) & (columns < 79.5 - 150 * 0.2 / 3 - 2)
    assert gap.any() and np.isnan(uncovered[gap]).all()


def test_depth_that_is_no_depth_registers_to_nothing() -> None:
    moved = RigidTransform(np.eye(3), np.array([0.05, 0.0, -2.0]))
    registration = DepthRegistration.of_cameras(DEPTH_CAMERA, COLOR_CAMERA, moved)
    for value in (np.nan, 0.0, -1.0, np.inf, 1.5):  # the last lies behind the colour camera
        registered = registration.apply(np.full((60, 80), value, np.float32))
        assert np.isnan(registered).all()


def test_an_identity_registers_as_no_transform_does() -> None:
    depth = np.random.default_rng(0).uniform(0.5, 4.0, (60, 80)).astype(np.float32)
    both = [
        DepthRegistration.of_cameras(DEPTH_CAMERA, COLOR_CAMERA, one).apply(depth)
        for one in (None, RigidTransform.identity())
    ]
    np.testing.assert_array_equal(*both)
