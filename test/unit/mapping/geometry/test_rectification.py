"""pinhole_view: which depth counts, and a rectified view of any camera."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from map_frames import CAMERA, FORWARD, HEIGHT, WIDTH, map_frame, wall

from perception_contrast.core.camera_model import CameraModel, unproject
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.rigid_transform import RigidTransform
from perception_contrast.mapping.geometry.keyframes import points_of
from perception_contrast.mapping.geometry.rectification import pinhole_view


def test_depth_that_is_none_or_beyond_is_none() -> None:
    depth = wall(1.2344)
    depth[0, :6] = [np.nan, 0.0, -1.0, np.inf, 5.1, 1e9]
    image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    view = pinhole_view(map_frame(depth, image=image), 5.0)
    assert (view.depth[0, :6] == 0).all() and (view.depth[1:] == 1234).all()
    assert view.colors is not None and not view.colors[0, :6].any() and (view.colors[1:] == 90).all()


@pytest.mark.parametrize(
    ("model", "coefficients", "height"),
    [
        ("", (), 480),
        ("plumb_bob", (-0.25, 0.06, 0.001, -0.001, 0.0), 120),
        ("equidistant", (0.05, -0.01, 0.0, 0.0), 120),
    ],
)
def test_a_slanted_wall_stays_flat_through_any_lens(
    model: str, coefficients: tuple[float, ...], height: int
) -> None:
    width, focal = height * 4 // 3, height / 1.2
    camera = CameraModel(height, width, focal, focal, width / 2, height / 2, model, coefficients)
    y, x = np.mgrid[:height, :width].astype(float)
    rays = unproject(camera, np.stack([x.ravel(), y.ravel()], axis=1))
    # The plane z = 2 + x / 2 of the camera.
    depth = (2.0 / (1.0 - 0.5 * rays[:, 0])).reshape(height, width).astype(np.float32)
    view = pinhole_view(map_frame(depth, camera=camera, pose=RigidTransform.identity()), 20.0)
    assert view.depth.shape == (min(240, height), min(320, width)) and not view.camera.distortion
    points = points_of(view)[view.depth > 0]
    assert len(points) > 0.7 * view.depth.size
    # Sampled at the nearest pixel: at most that pixel's share of the slope beside it, and a millimetre.
    off = np.abs(points[:, 2] - 2.0 - points[:, 0] / 2.0)
    assert np.median(off) < 0.01 and off.max() < 0.08


def test_points_of_a_view_are_those_of_the_camera_and_the_pose() -> None:
    pose = RigidTransform(FORWARD.rotation, np.array([1.0, 2.0, 3.0]))
    depth = wall(2.0)
    depth[5, 7] = np.nan
    points = points_of(pinhole_view(map_frame(depth, pose=pose), 5.0))
    expected = pose.apply(unproject(CAMERA, np.array([[20.0, 30.0]]), 2.0))[0]
    assert points[30, 20] == pytest.approx(expected, abs=1e-5) and np.isnan(points[5, 7]).all()


def test_frames_that_do_not_fit_are_refused() -> None:
    with pytest.raises(PerceptionError, match="register"):
        pinhole_view(map_frame(wall(1.0)[:10]), 5.0)
    with pytest.raises(PerceptionError, match="register"):
        pinhole_view(map_frame(wall(1.0), image=np.zeros((10, 10, 3), np.uint8)), 5.0)
    lost = replace(FORWARD, translation=np.array([0.0, np.inf, 0.0]))
    with pytest.raises(PerceptionError, match="pose"):
        pinhole_view(map_frame(wall(1.0), pose=lost), 5.0)
