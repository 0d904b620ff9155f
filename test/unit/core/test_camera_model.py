"""Cameras, their crops and sizes, and projection, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception_contrast.core.camera_model import (
    camera_model,
    cropped_camera,
    project,
    resized_camera,
    unproject,
)
from perception_contrast.core.errors import FrameError
from perception_contrast.core.grid_to_image import GridToImage

sizes = st.tuples(st.integers(2, 90), st.integers(2, 90))

K = (525.0, 0.0, 319.5, 0.0, 520.0, 239.5, 0.0, 0.0, 1.0)
PLUMB_BOB = (0.1, -0.05, 0.002, -0.003, 0.01)
EQUIDISTANT = (0.02, -0.01, 0.003, -0.001)


def bent_plumb_bob(x: float, y: float) -> tuple[float, float]:
    """The equations of sensor_msgs' plumb_bob (Brown 1966), written out."""
    k1, k2, p1, p2, k3 = PLUMB_BOB
    r2 = x * x + y * y
    radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
    return (
        x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
        y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
    )


def bent_equidistant(x: float, y: float) -> tuple[float, float]:
    """Kannala and Brandt 2006: the image radius is a polynomial of the angle to the axis."""
    r = float(np.hypot(x, y))
    angle = np.arctan(r)
    bent = angle * (1 + sum(k * angle ** (2 * i + 2) for i, k in enumerate(EQUIDISTANT)))
    return x * bent / r, y * bent / r


@pytest.mark.parametrize(
    ("model", "d", "bent"),
    [
        ("", (), lambda x, y: (x, y)),
        ("plumb_bob", (0.0,) * 5, lambda x, y: (x, y)),
        ("plumb_bob", PLUMB_BOB, bent_plumb_bob),
        ("rational_polynomial", (*PLUMB_BOB, 0.0, 0.0, 0.0), bent_plumb_bob),
        ("equidistant", EQUIDISTANT, bent_equidistant),
    ],
)
def test_projection(model: str, d: tuple[float, ...], bent) -> None:  # type: ignore[no-untyped-def]
    camera = camera_model(480, 640, K, d, distortion_model=model)
    points = np.random.default_rng(0).uniform([-0.5, -0.4, 0.5], [0.5, 0.4, 4.0], (50, 3))
    pixels = project(camera, points)
    for (x, y, z), pixel in zip(points, pixels, strict=True):
        u, v = bent(x / z, y / z)
        assert pixel == pytest.approx((525 * u + 319.5, 520 * v + 239.5), abs=1e-6)
    near = points[np.hypot(points[:, 0], points[:, 1]) < 0.7 * points[:, 2]]
    np.testing.assert_allclose(unproject(camera, project(camera, near), near[:, 2]), near, atol=1e-6)


def test_points_behind_the_camera_have_no_pixel() -> None:
    for d, model in (((), ""), (PLUMB_BOB, "plumb_bob")):
        camera = camera_model(480, 640, K, d, distortion_model=model)
        pixels = project(camera, np.array([[0, 0, 1.0], [0.1, 0, -1.0], [0.1, 0, 0.0]]))
        assert np.isfinite(pixels[0]).all() and np.isnan(pixels[1:]).all()


def test_rectified_images_use_p() -> None:
    p = (500.0, 0, 310, -50, 0, 510, 235, 0, 0, 0, 1, 0)
    camera = camera_model(480, 640, K, PLUMB_BOB, p, "plumb_bob", rectified=True)
    assert (camera.fx, camera.fy, camera.cx, camera.cy, camera.distortion) == (500, 510, 310, 235, ())


@pytest.mark.parametrize(
    ("reason", "k", "d", "model"),
    [
        ("uncalibrated", (0.0,) * 9, (), ""),
        ("uncalibrated", (float("nan"),) * 9, (), ""),
        ("unknown_distortion", K, PLUMB_BOB, "mystery"),
        ("bad_distortion", K, (0.1, 0.2, 0.3), "plumb_bob"),
        ("bad_distortion", K, (0.1, float("nan"), 0.0, 0.0, 0.0), "plumb_bob"),
        ("bad_distortion", K, (0.1, 0.2), "equidistant"),
    ],
)
def test_unusable_camera_info(reason: str, k: tuple[float, ...], d: tuple[float, ...], model: str) -> None:
    with pytest.raises(FrameError) as caught:
        camera_model(480, 640, k, d, distortion_model=model)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("size", "binning", "roi"),
    [
        ((480, 640), (4_000_000_000, 1), (0, 0, 0, 0)),
        ((480, 640), (1, 481), (0, 0, 0, 0)),
        ((480, 640), (8, 8), (0, 0, 4, 4)),
        ((0, 0), (0, 0), (0, 0, 0, 0)),
    ],
)
def test_a_calibration_of_no_pixels_is_refused(
    size: tuple[int, int], binning: tuple[int, int], roi: tuple[int, int, int, int]
) -> None:
    with pytest.raises(FrameError, match="leaves no pixel") as caught:
        camera_model(*size, K, binning=binning, roi=roi)
    assert caught.value.reason == "empty"


@settings(max_examples=30, deadline=None)
@given(target=sizes, x0=st.integers(0, 300), y0=st.integers(0, 200))
def test_cameras_follow_crop_and_resize(target: tuple[int, int], x0: int, y0: int) -> None:
    """A point's pixel in the smaller image is its pixel in the whole one, taken through the map."""
    camera = camera_model(480, 640, K)
    part = cropped_camera(camera, (x0, y0, 620, 470))
    grid = GridToImage.of_resize((part.height, part.width), target).moved(x0, y0)
    small = resized_camera(part, target)
    point = np.array([[0.3, -0.2, 2.0]])
    assert grid.to_image(*project(small, point)[0]) == pytest.approx(project(camera, point)[0], abs=1e-9)
    info = camera_model(480, 640, K, binning=(2, 2), roi=(x0, y0, 470 - y0, 620 - x0))
    assert info == resized_camera(part, ((470 - y0) // 2, (620 - x0) // 2))
