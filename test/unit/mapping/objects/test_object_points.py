"""Points of a detection, against the plane or the block that was drawn into the depth."""

from __future__ import annotations

import numpy as np
import pytest

from perception_contrast.core.camera_model import CameraModel, project
from perception_contrast.core.detection import Detection, Scores
from perception_contrast.core.errors import FrameError
from perception_contrast.mapping.objects.object_points import lift

CAMERA = CameraModel(240, 320, 260.0, 260.0, 159.5, 119.5)
BOX = (120, 80, 180, 150)


def detection(mask: np.ndarray | None = None, box: tuple[int, int, int, int] = BOX) -> Detection:
    x0, y0, x1, y1 = box
    return Detection(
        "mug", Scores(0.5, 0.5, 0.9), box, np.ones((y1 - y0, x1 - x0), bool) if mask is None else mask
    )


def scene(near: float = 1.0, wall: float = 2.5) -> np.ndarray:
    """A plate at BOX before a wall, with sensor noise and flying pixels along the plate's border."""
    rng = np.random.default_rng(0)
    depth = np.full((240, 320), wall, np.float32)
    x0, y0, x1, y1 = BOX
    depth[y0:y1, x0:x1] = (near + wall) / 2  # the border mixes both
    depth[y0 + 1 : y1 - 1, x0 + 1 : x1 - 1] = near
    return depth * rng.normal(1.0, 0.004, depth.shape).astype(np.float32)


def grown(pixels: int) -> Detection:
    x0, y0, x1, y1 = BOX
    return detection(box=(x0 - pixels, y0 - pixels, x1 + pixels, y1 + pixels))


@pytest.mark.parametrize("rim", [0, 4, 10])
def test_a_mask_over_the_border_gives_points_of_the_thing_alone(rim: int) -> None:
    points = lift(grown(rim), scene(), CAMERA)
    assert points.dtype == np.float32 and len(points) > 2000
    assert np.abs(points[:, 2] - 1.0).max() < 0.05
    pixels = project(CAMERA, points)
    assert (pixels >= [BOX[0], BOX[1]]).all() and (pixels < [BOX[2], BOX[3]]).all()


def test_holes_and_missing_depth_give_fewer_points_and_move_none() -> None:
    depth = scene()
    depth[90:110, 130:170] = np.nan
    depth[112:116, 130:170] = 0.0
    depth[120:124, 130:170] = np.inf
    points = lift(detection(), depth, CAMERA)
    assert len(points) > 1000 and np.abs(points[:, 2] - 1.0).max() < 0.05


def test_parts_that_something_nearer_separates_are_one_thing() -> None:
    depth = scene()
    depth[:, 145:150] = 0.5  # a post in front
    points = lift(detection(), depth, CAMERA)
    columns = project(CAMERA, points)[:, 0]
    assert (columns < 144).any() and (columns > 151).any() and points[:, 2].min() > 0.9


def test_a_slanted_table_keeps_its_length() -> None:
    rows = np.arange(240, dtype=np.float32)[:, None]
    # A horizontal plane 0.5 m below the camera: z = 0.5 f / (v - cy).
    with np.errstate(divide="ignore"):
        depth = np.where(rows > 125, 0.5 * 260 / (rows - 119.5), np.nan).astype(np.float32)
    depth = np.broadcast_to(depth, (240, 320)).copy()
    points = lift(detection(box=(60, 170, 260, 235)), depth, CAMERA)
    lowest, highest = 0.5 * 260 / (234 - 119.5), 0.5 * 260 / (170 - 119.5)
    assert points[:, 2].min() < lowest + 0.1 and points[:, 2].max() > highest - 0.25
    np.testing.assert_allclose(points[:, 1], 0.5, atol=1e-3)


def test_range_and_number_of_points_are_limited() -> None:
    assert len(lift(detection(), scene(), CAMERA, most_points=100)) <= 100
    assert lift(detection(), scene(), CAMERA, near=1.2, far=2.0).shape == (0, 3)
    assert lift(detection(), scene(near=1.0), CAMERA, far=0.9).shape == (0, 3)
    assert lift(detection(), np.full((240, 320), np.nan, np.float32), CAMERA).shape == (0, 3)


def test_a_thing_of_few_pixels_still_has_points() -> None:
    depth = scene()
    thin = np.zeros((70, 60), bool)
    thin[10:60, 20:22] = True
    points = lift(detection(thin), depth, CAMERA)
    assert len(points) >= 50 and np.abs(points[:, 2] - 1.0).max() < 0.05
    few = np.zeros((70, 60), bool)
    few[30, 20:25] = True
    assert len(lift(detection(few), depth, CAMERA)) == 0


def test_depth_of_another_size_is_refused() -> None:
    with pytest.raises(FrameError, match="register the depth"):
        lift(detection(), np.ones((120, 160), np.float32), CAMERA)
