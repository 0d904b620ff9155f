"""Where pixels go: resize, crop, cameras and depth registration against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception_contrast.core.camera_model import (
    CameraModel,
    camera_model,
    cropped_camera,
    project,
    resized_camera,
    unproject,
)
from perception_contrast.core.depth_registration import DepthRegistration
from perception_contrast.core.errors import FrameError
from perception_contrast.core.grid_to_image import GridToImage
from perception_contrast.images.resize import crop, fitted_size, resize_image, resize_labels

sizes = st.tuples(st.integers(2, 90), st.integers(2, 90))


def positions(size: tuple[int, int]) -> np.ndarray:
    """An image (H, W, 2) float32 that says at each pixel where it is: (x, y)."""
    y, x = np.mgrid[: size[0], : size[1]]
    return np.stack([x, y], -1).astype(np.float32)


def mapped(grid: GridToImage, size: tuple[int, int]) -> np.ndarray:
    """(H, W, 2): the source (x, y) that the map gives for each cell."""
    where = [[grid.to_image(column, row) for column in range(size[1])] for row in range(size[0])]
    return np.array(where)


@settings(max_examples=60, deadline=None)
@given(source=sizes, target=sizes, data=st.data())
def test_crop_then_resize_lands_where_the_map_says(
    source: tuple[int, int], target: tuple[int, int], data: st.DataObject
) -> None:
    """Each pixel holds its own coordinate, so a resized one tells where it was taken from.

    Interpolation and averages of whole pixels are exact; an area average takes a pixel of which it
    covers the share f at its centre, which moves the mean by f (1 - f) / 2, at most 1/8 pixel.
    """
    x0, y0 = data.draw(st.integers(0, source[1] - 1)), data.draw(st.integers(0, source[0] - 1))
    x1, y1 = data.draw(st.integers(x0 + 1, source[1])), data.draw(st.integers(y0 + 1, source[0]))
    part, to_whole = crop(positions(source), (x0, y0, x1, y1))
    assert part.shape[:2] == (y1 - y0, x1 - x0)
    grid = GridToImage.of_resize(part.shape[:2], target).then(to_whole)
    # Beyond the outermost pixel centres interpolation has only the border pixel.
    expected = np.clip(mapped(grid, target), [x0, y0], [x1 - 1, y1 - 1])
    shrinks = target[0] <= part.shape[0] and target[1] <= part.shape[1]
    whole_pixels = part.shape[0] % target[0] == 0 and part.shape[1] % target[1] == 0
    tolerance = 0.13 if shrinks and not whole_pixels else 0.02
    np.testing.assert_allclose(resize_image(part, target), expected, atol=tolerance, rtol=0)
    assert GridToImage.of_resize(part.shape[:2], target).moved(x0, y0) == grid
    column, row = grid.to_grid(*grid.to_image(3.0, 5.0))
    assert (column, row) == pytest.approx((3.0, 5.0))


@settings(max_examples=60, deadline=None)
@given(source=sizes, target=sizes)
def test_labels_come_from_the_nearest_pixel(source: tuple[int, int], target: tuple[int, int]) -> None:
    labels = np.arange(source[0] * source[1], dtype=np.uint16).reshape(source)
    resized = resize_labels(labels, target)
    assert resized.dtype == labels.dtype and resized.shape == target
    taken = np.stack([resized % source[1], resized // source[1]], -1)
    where = mapped(GridToImage.of_resize(source, target), target)
    assert np.abs(taken - where).max() <= 0.5 + 1e-9


def test_resizing_averages_instead_of_skipping() -> None:
    """One bright pixel in each 4 x 4: its share of the mean is 1/16; interpolation would miss it."""
    dots = np.zeros((64, 64), np.uint8)
    dots[::4, ::4] = 240
    np.testing.assert_array_equal(resize_image(dots, (16, 16)), np.full((16, 16), 15, np.uint8))


def test_crop_is_widened_clipped_and_never_empty() -> None:
    part, grid = crop(positions((10, 20)), (-3.0, 2.2, 4.1, 99.0))
    assert part.shape == (8, 5, 2) and part[0, 0].tolist() == [0, 2]
    assert grid == GridToImage(1.0, 1.0, 0.0, 2.0)
    for box in ((20, 0, 30, 5), (5, 5, 5, 8), (6, 1, 2, 3)):
        with pytest.raises(FrameError, match="box"):
            crop(positions((10, 20)), box)


@pytest.mark.parametrize(
    ("source", "short", "multiple", "tokens", "expected"),
    [
        ((480, 640), 378, 14, 2048, (378, 504)),
        ((640, 480), 378, 14, None, (504, 378)),
        ((224, 224), 224, 16, None, (224, 224)),
        ((1, 100_000), 378, 14, 50, (14, 700)),
        ((3, 3), 1000, 1, 961, (31, 31)),
        ((480, 640), 5000, 14, 300, (15 * 14, 20 * 14)),
        ((3, 3), 1, 14, None, (14, 14)),
    ],
)
def test_fitted_size_of_known_cases(
    source: tuple[int, int], short: int, multiple: int, tokens: int | None, expected: tuple[int, int]
) -> None:
    assert fitted_size(source, short, multiple, tokens) == expected


@settings(deadline=None)
@given(
    source=st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
    short=st.integers(14, 1000),
    multiple=st.integers(1, 32),
    tokens=st.one_of(st.none(), st.integers(1, 5000)),
)
def test_fitted_size_keeps_aspect_and_limits(
    source: tuple[int, int], short: int, multiple: int, tokens: int | None
) -> None:
    height, width = fitted_size(source, short, multiple, tokens)
    assert height % multiple == 0 and width % multiple == 0 and min(height, width) >= multiple
    cells = height * width // multiple**2
    if tokens is not None:
        assert cells <= tokens
        wanted = [round(side * short / min(source) / multiple) for side in source]
        if wanted[0] * wanted[1] > tokens and min(height, width) > multiple:
            # Shrunk no further than needed: one more row and one more column would not fit.
            assert (height + multiple) * (width + multiple) > tokens * multiple**2
    else:
        exact = np.array(source) * short / min(source)
        assert (np.abs([height, width] - exact) <= np.maximum(multiple / 2, multiple - exact) + 1e-6).all()


def test_fitted_size_refuses_no_pixels() -> None:
    with pytest.raises(FrameError):
        fitted_size((0, 640), 378, 14)


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
    ],
)
def test_unusable_camera_info(reason: str, k: tuple[float, ...], d: tuple[float, ...], model: str) -> None:
    with pytest.raises(FrameError) as caught:
        camera_model(480, 640, k, d, distortion_model=model)
    assert caught.value.reason == reason


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
