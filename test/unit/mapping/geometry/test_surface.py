"""Surface: where it lies, what limits, moves, forgets and saves it."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from map_frames import FORWARD, HEIGHT, WIDTH, map_frame, wall

from perception_contrast.core.arrays import FloatArray
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.rigid_transform import RigidTransform
from perception_contrast.mapping.geometry import tsdf_blocks
from perception_contrast.mapping.geometry.surface import Surface
from perception_contrast.mapping.geometry.tsdf_blocks import BLOCK_BYTES
from perception_contrast.mapping.map_frame import MapFrame

pytest.importorskip("open3d", exc_type=ImportError)


def at(x: float, y: float = 0.0) -> RigidTransform:
    return RigidTransform(FORWARD.rotation, np.array([x, y, 0.0]))


def painted(metres: float, **fields: Any) -> MapFrame:
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[:, :32] = (200, 0, 0)
    image[:, 32:] = (0, 0, 200)
    return map_frame(wall(metres), image=image, **fields)


def in_order(points: FloatArray) -> FloatArray:
    """Open3D gives points in any order."""
    return points[np.lexsort(points.round(3).T)]


def test_one_frame_makes_a_surface_where_the_depth_is() -> None:
    surface = Surface()
    surface.integrate(painted(1.507))
    cloud, mesh = surface.cloud(), surface.mesh()
    for points in (cloud.points, mesh.vertices):
        assert len(points) > 1000 and np.abs(points[:, 0] - 1.507).max() < 0.002
    left = cloud.points[:, 1] > 0.05
    assert np.median(cloud.colors[left], axis=0) == pytest.approx([200, 0, 0], abs=2)
    assert np.median(cloud.colors[cloud.points[:, 1] < -0.05], axis=0) == pytest.approx([0, 0, 200], abs=2)
    assert cloud.normals[:, 0].mean() < -0.95
    assert mesh.triangles.max() < len(mesh.vertices) == len(mesh.colors) == len(mesh.normals)
    assert mesh.colors.dtype == np.uint8 and mesh.triangles.dtype == np.int32


def test_frames_are_averaged_and_noise_goes_down() -> None:
    rng, surface = np.random.default_rng(0), Surface()
    for stamp in range(12):
        noisy = (wall(1.507) + rng.normal(0.0, 0.01, (HEIGHT, WIDTH))).astype(np.float32)
        surface.integrate(map_frame(noisy, stamp=stamp))
    assert np.std(surface.cloud().points[:, 0]) < 0.006
    assert surface.keyframes == 1


@pytest.mark.parametrize("bad", [np.nan, 0.0, np.inf, 9.0])
def test_missing_and_far_depth_clears_nothing(bad: float) -> None:
    surface = Surface()
    surface.integrate(painted(1.507))
    before = in_order(surface.cloud().points)
    for _ in range(5):
        surface.integrate(map_frame(wall(bad)))
    assert np.array_equal(in_order(surface.cloud().points), before)


def test_weights_never_overflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tsdf_blocks, "WEIGHT_CAP", 3)
    surface = Surface()
    for _ in range(6):
        surface.integrate(painted(1.507))
    assert surface.arrays()["weight"].max() == 3


def test_a_cloud_is_cut_to_a_number() -> None:
    surface = Surface()
    surface.integrate(painted(1.507))
    cloud = surface.cloud(100)
    assert cloud.points.shape == cloud.normals.shape == cloud.colors.shape == (100, 3)
    assert np.ptp(cloud.points[:, 1]) > 1.0


def test_an_empty_surface_has_no_points() -> None:
    surface = Surface()
    surface.integrate(map_frame(wall(np.nan)))
    assert surface.cloud().points.shape == (0, 3) and surface.mesh().triangles.shape == (0, 3)
    assert surface.mesh().vertices.dtype == np.float32 and surface.keyframes == 0


def test_a_process_that_ends_with_a_surface_ends_quietly() -> None:
    program = (
        "import ctypes, sys; sys.modules['torch'] = None; "
        "from perception_contrast.mapping.geometry.surface import Surface; "
        "surface = Surface(); ctypes.pythonapi.Py_IncRef(ctypes.py_object(surface))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == done.stderr == ""


def test_blocks_grow_and_keep_what_they_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tsdf_blocks, "FIRST_BLOCKS", 8)
    small, large = Surface(), Surface()
    monkeypatch.setattr(tsdf_blocks, "FIRST_BLOCKS", 4_096)
    for x in (0.0, 1.0, 2.0):
        small.integrate(painted(1.507, pose=at(x)))
        large.integrate(painted(1.507, pose=at(x)))
    assert np.array_equal(in_order(small.cloud().points), in_order(large.cloud().points))
    assert np.array_equal(in_order(small.mesh().vertices), in_order(large.mesh().vertices))


def test_old_blocks_leave_where_there_is_no_room() -> None:
    surface = Surface(max_bytes=900 * BLOCK_BYTES)
    for place in range(12):
        surface.integrate(painted(1.507, pose=at(5.0 * place), stamp=place))
        assert surface.bytes - surface._keyframes.bytes <= 900 * BLOCK_BYTES
    walls = np.unique(np.round(surface.cloud().points[:, 0]))
    assert surface.evicted > 0 and walls.max() == round(55 + 1.507) and walls.min() > 2
    # What comes again lies in clean blocks.
    surface.integrate(painted(1.507, pose=at(0.0), stamp=20))
    points = surface.cloud().points
    assert np.abs(points[points[:, 0] < 4.0][:, 0] - 1.507).max() < 0.002
    with pytest.raises(PerceptionError, match="raise it"):
        Surface(max_bytes=100)


def test_a_move_takes_one_submap_with_it() -> None:
    surface = Surface()
    surface.integrate(painted(1.507, pose=at(0.0)), submap=1)
    surface.integrate(painted(1.507, pose=at(0.0, 6.0)), submap=2)
    surface.move({2: RigidTransform(np.eye(3), np.array([0.5, 0.0, 0.0]))})
    points = surface.cloud().points
    still, moved = points[points[:, 1] < 3.0], points[points[:, 1] > 3.0]
    assert np.abs(still[:, 0] - 1.507).max() < 0.002 and np.abs(moved[:, 0] - 2.007).max() < 0.002
    assert len(still) > 1000 < len(moved)


def test_a_long_move_goes_on_with_each_frame_and_takes_new_ones_in() -> None:
    surface = Surface()
    for place in range(11):
        surface.integrate(painted(1.507, pose=at(0.0, 4.0 * place)), submap=place)
    low = RigidTransform(np.eye(3), np.array([0.0, 0.0, -1.0]))
    surface.move(dict.fromkeys(range(11), low))
    assert surface.rebuilding and np.ptp(surface._blocks.arrays()["blocks"][:, 1]) > 240
    # Until it is done the surface is the one before, whole.
    assert surface.cloud().points[:, 2].mean() == pytest.approx(0.0, abs=0.05)
    surface.integrate(
        painted(1.507, pose=RigidTransform(FORWARD.rotation, np.array([0.0, 44.0, -1.0]))), submap=11
    )
    assert not surface.rebuilding
    points = surface.cloud().points
    assert points[:, 2].mean() == pytest.approx(-1.0, abs=0.05)
    assert set(np.round(points[:, 1] / 4.0).astype(int)) == set(range(12))


def test_a_move_of_submaps_that_it_has_not_changes_nothing() -> None:
    surface = Surface()
    surface.integrate(painted(1.507), submap=1)
    blocks = surface._blocks
    surface.move({2: RigidTransform(np.eye(3), np.ones(3))})
    assert surface._blocks is blocks and not surface.rebuilding


def test_saving_finishes_a_rebuild() -> None:
    surface = Surface()
    for place in range(6):
        surface.integrate(painted(1.507, pose=at(0.0, 4.0 * place)), submap=place)
    surface.move({0: RigidTransform(np.eye(3), np.array([3.0, 0.0, 0.0]))})
    assert surface.rebuilding
    loaded = Surface.of_arrays(surface.arrays())
    assert not surface.rebuilding and loaded.cloud().points[:, 0].max() == pytest.approx(4.507, abs=0.01)


def test_a_forgotten_box_is_empty_also_after_a_move() -> None:
    surface = Surface()
    surface.integrate(painted(1.507))
    count = len(surface.cloud().points)
    low, high = np.array([1.3, -9.0, 0.1]), np.array([1.7, 9.0, 0.3])

    def inside() -> int:
        points = surface.cloud().points
        # A crossing may lie up to a voxel beside the sample that is kept.
        return int(((points > low + 0.02) & (points < high - 0.02)).all(axis=1).sum())

    assert inside() > 100
    surface.forget_box(low, high)
    assert inside() == 0 and 0.5 * count < len(surface.cloud().points) < count
    surface.move({0: RigidTransform.identity()})
    assert inside() == 0 and len(surface.cloud().points) > 0.5 * count


def test_arrays_come_back_as_the_same_surface() -> None:
    surface = Surface()
    surface.integrate(painted(1.507), submap=4)
    arrays = surface.arrays()
    loaded = Surface.of_arrays(arrays)
    mine, theirs = in_order(surface.cloud().points), in_order(loaded.cloud().points)
    assert len(mine) == len(theirs) and np.abs(mine - theirs).max() < 0.001
    loaded.move({4: RigidTransform(np.eye(3), np.array([0.0, 0.0, 1.0]))})
    assert loaded.cloud().points[:, 2].mean() == pytest.approx(1.0, abs=0.05)
    surface.clear()
    assert surface.blocks == surface.keyframes == 0 and len(surface.cloud().points) == 0
    assert Surface.of_arrays(surface.arrays()).blocks == 0


@pytest.mark.parametrize(
    ("name", "damage", "told"),
    [
        ("tsdf", lambda array: array[:-1], "do not fit"),
        ("tsdf", lambda array: np.full_like(array, np.nan), "not finite"),
        ("blocks", lambda array: np.zeros_like(array), "twice"),
        ("stamps", lambda array: None, "lacks the array 'stamps'"),
        ("keyframe_images", lambda array: array[:-1], "keyframes"),
    ],
)
def test_damaged_arrays_are_refused(name: str, damage: Any, told: str) -> None:
    surface = Surface()
    surface.integrate(painted(1.507))
    arrays = surface.arrays()
    damaged = damage(arrays.pop(name))
    if damaged is not None:
        arrays[name] = damaged
    with pytest.raises(PerceptionError, match=told):
        Surface.of_arrays(arrays)
