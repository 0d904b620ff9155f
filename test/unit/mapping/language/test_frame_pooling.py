"""pool_frame: which points count, where they lie, and which vectors they take."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from map_frames import CAMERA, FORWARD, HEIGHT, WIDTH, feature_grid, map_frame, wall

from perception_contrast.core.camera_model import CameraModel, unproject
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.grid_to_image import GridToImage
from perception_contrast.core.rigid_transform import RigidTransform
from perception_contrast.mapping.language.frame_pooling import pool_frame

SIZE = 0.05


def coded(rows: int, columns: int) -> np.ndarray:
    """A grid whose cells have a channel each, with values of different lengths."""
    return np.eye(rows * columns, dtype=np.float32).reshape(rows, columns, -1) * 3.0


def test_points_lie_where_the_pose_and_the_camera_put_them() -> None:
    pooled = pool_frame(map_frame(wall(2.0)), SIZE)
    assert pooled.points.shape == (HEIGHT * WIDTH, 3)
    assert np.allclose(pooled.points[:, 0], 2.0)
    # The first pixel is on the left and above.
    assert pooled.points[0] == pytest.approx([2.0, 2.0 * 31.5 / 60.0, 2.0 * 23.5 / 60.0])
    moved = pool_frame(
        map_frame(wall(2.0), pose=RigidTransform(FORWARD.rotation, np.array([0.0, 0.0, 5.0]))), SIZE
    )
    assert moved.points - pooled.points == pytest.approx(
        np.tile([0.0, 0.0, 5.0], (HEIGHT * WIDTH, 1)), abs=1e-5
    )


@settings(deadline=None, max_examples=4)
@given(seed=st.integers(0, 1000))
def test_means_are_those_of_a_loop_over_points(seed: int) -> None:
    rng = np.random.default_rng(seed)
    depth = rng.uniform(0.5, 1.5, (HEIGHT, WIDTH)).astype(np.float32)
    grid = feature_grid(rng.standard_normal((6, 8, 5)).astype(np.float32))
    pooled = pool_frame(map_frame(depth, semantic=grid), 0.2)
    sums, counts = dict[tuple[int, ...], np.ndarray](), dict[tuple[int, ...], int]()
    for y in range(HEIGHT):
        for x in range(WIDTH):
            column, row = grid.grid_to_image.to_grid(x, y)
            vector = grid.values[round(row), round(column)]
            point = FORWARD.apply(unproject(CAMERA, np.array([[x, y]], float), float(depth[y, x])))[0]
            key = tuple(np.floor(point / 0.2).astype(int).tolist())
            sums[key] = sums.get(key, np.zeros(5)) + vector / np.linalg.norm(vector)
            counts[key] = counts.get(key, 0) + 1
    assert {tuple(key) for key in pooled.keys.tolist()} == sums.keys() and len(pooled.keys) == len(sums)
    for key, vector, count in zip(
        map(tuple, pooled.keys.tolist()), pooled.vectors, pooled.counts, strict=True
    ):
        assert count == counts[key]
        assert vector == pytest.approx(sums[key] / counts[key], abs=1e-5)


@pytest.mark.parametrize("bad", [np.nan, 0.0, -1.0, np.inf, -np.inf, 7.0])
def test_depth_that_is_none_or_beyond_makes_no_point(bad: float) -> None:
    depth = wall(2.0)
    depth[:, 20:] = bad
    pooled = pool_frame(map_frame(depth, semantic=feature_grid(coded(3, 4))), SIZE, max_range=5.0)
    assert len(pooled.points) == HEIGHT * 20 == pooled.counts.sum()
    assert len(pooled.far.directions) == (HEIGHT * 44 if bad > 5.0 else 0)


def test_far_pixels_point_where_they_were_seen() -> None:
    depth = wall(1.0)
    depth[10, 50] = np.inf
    pooled = pool_frame(map_frame(depth, semantic=feature_grid(coded(3, 4))), SIZE)
    ray = FORWARD.rotation @ unproject(CAMERA, np.array([[50.0, 10.0]]))[0]
    assert pooled.far.directions[0] == pytest.approx(ray / np.linalg.norm(ray), abs=1e-6)
    assert pooled.far.vectors[pooled.far.cells[0]].argmax() == 3
    assert np.linalg.norm(pooled.far.vectors, axis=1) == pytest.approx(np.ones(12))


def test_a_grid_of_a_crop_gives_nothing_to_pixels_outside_it() -> None:
    # Cells of 8 pixels, over the right half of the image alone.
    place = GridToImage.of_resize((48, 32), (6, 4)).moved(32, 0)
    pooled = pool_frame(map_frame(wall(1.0), semantic=feature_grid(coded(6, 4), place)), SIZE)
    assert len(pooled.points) == HEIGHT * WIDTH
    assert pooled.counts.sum() == HEIGHT * 32
    # The right half of the image lies at negative y of the map.
    assert (pooled.keys[:, 1] < 0).all()
    corner = pooled.keys[np.lexsort((pooled.keys[:, 2], -pooled.keys[:, 1]))[-1]]
    assert pooled.vectors[(pooled.keys == corner).all(axis=1)][0].argmax() == 3


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
def test_cells_without_a_vector_spoil_no_voxel(bad: float) -> None:
    values = coded(3, 4)
    values[:, :2] = bad
    depth = wall(1.0)
    depth[:5] = 9.0
    pooled = pool_frame(map_frame(depth, semantic=feature_grid(values)), SIZE)
    assert np.isfinite(pooled.vectors).all() and pooled.counts.sum() == (HEIGHT - 5) * WIDTH / 2
    assert np.linalg.norm(pooled.vectors, axis=1).max() == pytest.approx(1.0)
    assert len(pooled.far.directions) == 5 * WIDTH / 2


def test_a_large_image_gives_as_many_points_as_are_asked_for() -> None:
    camera = CameraModel(480, 640, 600.0, 600.0, 319.5, 239.5)
    depth = np.full((480, 640), 2.0, np.float32)
    pooled = pool_frame(map_frame(depth, camera=camera), SIZE, points=(12, 16))
    assert len(pooled.points) == 192
    # Spread evenly: their middle is that of the view, to within a pixel.
    assert pooled.points.mean(axis=0) == pytest.approx([2.0, 0.0, 0.0], abs=2.0 / 600)


def test_features_of_another_size_cover_the_same_view() -> None:
    grid = feature_grid(coded(3, 4))
    doubled = replace(
        grid,
        image_size=(2 * HEIGHT, 2 * WIDTH),
        grid_to_image=GridToImage.of_resize((2 * HEIGHT, 2 * WIDTH), (3, 4)),
    )
    first = pool_frame(map_frame(wall(1.0), semantic=grid), SIZE)
    second = pool_frame(map_frame(wall(1.0), semantic=doubled), SIZE)
    assert np.array_equal(first.vectors, second.vectors)


def test_a_distorted_camera_puts_points_where_it_sees_them() -> None:
    lens = replace(CAMERA, distortion_model="plumb_bob", distortion=(-0.2, 0.05, 0.0, 0.0, 0.0))
    pooled = pool_frame(map_frame(wall(2.0), camera=lens), SIZE)
    corner = FORWARD.apply(unproject(lens, np.array([[0.0, 0.0]]), 2.0))[0]
    assert pooled.points[0] == pytest.approx(corner, abs=1e-5)


def test_without_features_or_depth_there_is_no_voxel() -> None:
    assert len(pool_frame(map_frame(wall(1.0)), SIZE).keys) == 0
    empty = pool_frame(map_frame(wall(np.nan), semantic=feature_grid(coded(3, 4))), SIZE)
    assert empty.keys.shape == (0, 3) and empty.vectors.shape == (0, 12) and len(empty.points) == 0


def test_a_frame_that_does_not_fit_is_refused() -> None:
    with pytest.raises(PerceptionError, match="32x48 pixels does not fit a camera of 64x48"):
        pool_frame(map_frame(wall(1.0)[:, :32]), SIZE)
    lost = RigidTransform(FORWARD.rotation, np.array([np.nan, 0.0, 0.0]))
    with pytest.raises(PerceptionError, match="pose is not finite"):
        pool_frame(map_frame(wall(1.0), pose=lost), SIZE)
