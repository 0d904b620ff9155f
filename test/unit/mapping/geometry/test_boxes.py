"""Boxes around points, against boxes whose points were drawn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.rigid_transform import RigidTransform
from perception_contrast.mapping.geometry.boxes import Box3D

SIZES = st.tuples(st.floats(0.05, 2.0), st.floats(0.05, 2.0), st.floats(0.05, 2.0))
CENTERS = st.tuples(*[st.floats(-3.0, 3.0)] * 3)
YAWS = st.floats(-math.pi / 2, math.pi / 2 - 1e-6)


def points_in(box: Box3D, count: int = 4000) -> np.ndarray:
    drawn = np.random.default_rng(3).uniform(-0.5, 0.5, (count, 3)) * box.size
    return drawn @ box.rotation.T + box.center


@settings(max_examples=40, deadline=None)
@given(center=CENTERS, size=SIZES, yaw=YAWS)
def test_corners_bound_the_box(center: tuple, size: tuple, yaw: float) -> None:
    box = Box3D(np.array(center), np.array(size), yaw)
    assert box.corners.shape == (8, 3) and box.contains(box.corners).all()
    assert not box.contains(box.center + (box.corners - box.center) * 1.01).any()
    np.testing.assert_allclose(box.corners.mean(axis=0), box.center, atol=1e-9)
    assert (box.low <= box.high).all() and box.volume == pytest.approx(np.prod(size))
    np.testing.assert_allclose(box.distance(box.corners), 0.0, atol=1e-9)
    above = box.center + np.array([0.0, 0.0, size[2] / 2 + 0.7])
    assert box.distance(above[None])[0] == pytest.approx(0.7)


@pytest.mark.parametrize("yaw", [-1.2, -0.5, 0.4, 0.8, 1.2])
def test_a_long_thing_gets_a_box_in_its_direction_despite_outliers(yaw: float) -> None:
    truth = Box3D(np.array([1.0, -2.0, 0.4]), np.array([1.6, 0.5, 0.8]), yaw)
    points = points_in(truth)
    points[:40] += np.random.default_rng(4).uniform(-3, 3, (40, 3))
    box = Box3D.turned(points)
    assert abs((box.yaw - yaw + math.pi / 2) % math.pi - math.pi / 2) < 0.05
    np.testing.assert_allclose(box.center, truth.center, atol=0.05)
    np.testing.assert_allclose(box.size, truth.size, rtol=0.1)
    assert box.iou(truth) > 0.85 > Box3D.aligned(points).iou(truth)


def test_a_round_thing_keeps_the_axes_of_its_frame() -> None:
    angles = np.random.default_rng(5).uniform(0, 2 * math.pi, 500)
    points = np.stack([np.cos(angles), np.sin(angles), np.linspace(0, 1, 500)], axis=1)
    assert Box3D.turned(points).yaw == 0.0


@pytest.mark.parametrize("fit", [Box3D.aligned, Box3D.turned])
def test_one_point_has_a_box_with_a_volume_and_no_point_has_none(fit) -> None:  # type: ignore[no-untyped-def]
    box = fit(np.ones((1, 3), np.float32))
    np.testing.assert_allclose(box.center, 1.0)
    assert 0 < box.volume < 1e-5
    with pytest.raises(PerceptionError, match="at least one point"):
        fit(np.zeros((0, 3)))


@settings(max_examples=60, deadline=None)
@given(center=CENTERS, size=SIZES, yaw=YAWS, shift=st.tuples(*[st.floats(-0.5, 0.5)] * 3), turn=YAWS)
def test_iou_is_the_share_of_drawn_points(
    center: tuple, size: tuple, yaw: float, shift: tuple, turn: float
) -> None:
    first = Box3D(np.array(center), np.array(size), yaw)
    second = Box3D(first.center + shift, first.size * 1.2, turn)
    inside = float(second.contains(points_in(first)).mean()) * first.volume
    expected = inside / (first.volume + second.volume - inside)
    assert first.iou(second) == pytest.approx(second.iou(first), abs=1e-4)
    assert first.iou(second) == pytest.approx(expected, abs=0.03)
    assert first.iou(first) == pytest.approx(1.0, abs=1e-4)
    assert first.iou(Box3D(first.center + np.array([0, 0, 9.0]), first.size, yaw)) == 0.0


def test_a_turn_about_z_moves_a_box_exactly_and_any_other_bounds_it() -> None:
    box = Box3D(np.array([1.0, 0.5, 0.2]), np.array([0.8, 0.3, 0.4]), 0.3)
    turn = RigidTransform.of_quaternion([0.5, -1.0, 2.0], [0.0, 0.0, math.sin(0.35), math.cos(0.35)])
    moved = box.moved(turn)
    assert moved.yaw == pytest.approx(1.0) and moved.volume == pytest.approx(box.volume)
    assert moved.contains(turn.apply(box.corners)).all()
    assert box.moved(turn).moved(turn.inverse()).iou(box) == pytest.approx(1.0, abs=1e-6)
    tilted = RigidTransform.of_quaternion([0.0, 0.0, 1.0], [0.5, -0.5, 0.5, -0.5])
    bound = box.moved(tilted)
    assert bound.yaw == 0.0 and bound.contains(tilted.apply(box.corners)).all()


def test_the_quaternion_turns_as_the_box_does() -> None:
    box = Box3D(np.zeros(3), np.ones(3), 0.7)
    turned = RigidTransform.of_quaternion([0, 0, 0], box.quaternion)
    np.testing.assert_allclose(turned.rotation, box.rotation, atol=1e-12)
