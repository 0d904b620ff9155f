"""FarRays: directions in bins, their means, and what moves them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception_contrast.core.arrays import FloatArray
from perception_contrast.core.rigid_transform import RigidTransform
from perception_contrast.mapping.language.far_rays import FarRays
from perception_contrast.mapping.language.frame_pooling import FarPixels

AXES = np.eye(3, dtype=np.float32)


def seen(origin: tuple[float, float, float], directions: list[list[float]], cells: list[int]) -> FarPixels:
    unit = np.array(directions, np.float32)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    return FarPixels(np.array(origin), unit, np.array(cells), AXES)


def angle(first: FloatArray, second: FloatArray) -> float:
    return math.degrees(math.acos(min(1.0, float(np.dot(first, second)))))


@settings(deadline=None, max_examples=40)
@given(
    azimuth=st.floats(-math.pi, math.pi),
    elevation=st.floats(-math.pi / 2, math.pi / 2),
    origin=st.tuples(*[st.floats(-50, 50)] * 3),
)
def test_a_ray_points_within_a_bin_of_what_was_seen(
    azimuth: float, elevation: float, origin: tuple[float, float, float]
) -> None:
    flat = math.cos(elevation)
    direction = [flat * math.cos(azimuth), flat * math.sin(azimuth), math.sin(elevation)]
    rays = FarRays(3)
    rays.add(seen(origin, [direction], [1]), 5, 2)
    (ray,) = rays.strongest(AXES[1])
    # Half the diagonal of a bin of 20 degrees.
    assert angle(ray.direction, np.array(direction)) <= 14.2
    assert np.abs(ray.origin - origin).max() <= 0.5 + 1e-4
    assert (ray.score, ray.hits, ray.last_seen) == (pytest.approx(1.0), 1, 5)


def test_the_direction_that_looks_like_it_is_named_first() -> None:
    rays = FarRays(3)
    rays.add(seen((0.5, 0.5, 1.5), [[1, 0, 0], [0, 1, 0], [0, 1, 0.01], [0, -1, 0]], [0, 1, 1, 2]), 1)
    assert len(rays) == 3
    first, second = rays.strongest(AXES[1], count=2)
    assert angle(first.direction, AXES[1]) <= 14.2 and first.score == pytest.approx(1.0)
    assert second.score == pytest.approx(0.0)
    assert rays.scores(AXES).shape == (3, 3) == rays.directions().shape == rays.origins().shape


def test_views_from_one_place_share_a_ray_and_others_do_not() -> None:
    rays = FarRays(3)
    rays.add(seen((0.2, 0.2, 1.2), [[1, 0.1, 0.1]] * 3, [0, 0, 0]), 1)
    rays.add(seen((0.8, 0.8, 1.8), [[1, 0.1, 0.1]], [1]), 2)
    rays.add(seen((1.2, 0.2, 1.2), [[1, 0.1, 0.1]], [2]), 3)
    assert len(rays) == 2
    # Three points of the first vector and one of the second.
    assert rays.strongest(AXES[0])[0].score == pytest.approx(3 / math.hypot(3, 1), abs=1e-3)


def test_a_move_turns_the_rays_of_its_submap() -> None:
    rays = FarRays(3)
    rays.add(seen((0.5, 0.5, 0.5), [[1, 0.1, 0.1]], [0]), 1, submap=1)
    rays.add(seen((4.5, 0.5, 0.5), [[1, 0.1, 0.1]], [1]), 1, submap=2)
    half = RigidTransform.of_quaternion((0.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0))
    rays.move({1: half})
    turned, still = rays.strongest(AXES[0])[0], rays.strongest(AXES[1])[0]
    assert turned.origin == pytest.approx([-0.5, -0.5, 0.5], abs=1e-5)
    assert turned.direction[0] < -0.8 and still.direction[0] > 0.8
    assert still.origin == pytest.approx([4.5, 0.5, 0.5])


def test_memory_is_limited() -> None:
    rays = FarRays(3, max_bytes=40_000)
    for place in range(400):
        rays.add(seen((place, 0.0, 0.0), [[1, 0, 0], [0, 1, 0]], [0, 1]), place)
    assert rays.bytes <= 40_000 and len(rays) + rays.evicted == 800
    assert rays.origins()[:, 0].max() == 399.5


def test_rays_through_a_forgotten_box_go() -> None:
    rays = FarRays(3)
    rays.add(seen((0.5, 0.5, 0.5), [[1, 0.1, 0.1], [-1, 0.1, 0.1], [0.1, 1, 0.1]], [0, 1, 2]), 1)
    assert rays.forget_box(np.array([5.0, -2.0, -2.0]), np.array([6.0, 4.0, 4.0])) == 1
    assert rays.scores(AXES).max(axis=1) == pytest.approx([0.0, 1.0, 1.0])


def test_arrays_come_back_as_the_same_rays() -> None:
    rays = FarRays(3)
    rays.add(seen((-7.5, 3.5, 0.5), [[1, 0.1, 0.1], [0.1, -1, -0.4]], [0, 1]), 1, submap=4)
    loaded = FarRays.of_arrays(rays.arrays())
    assert np.array_equal(loaded.origins(), rays.origins())
    assert np.array_equal(loaded.directions(), rays.directions())
    assert np.array_equal(loaded.scores(AXES), rays.scores(AXES))
    assert not len(loaded.take_changed()["keys"]) and len(rays.take_changed()["keys"]) == 2


def test_nothing_far_adds_nothing() -> None:
    rays = FarRays(3)
    rays.add(FarPixels(np.zeros(3), np.empty((0, 3), np.float32), np.empty(0, np.int64), AXES), 1)
    assert len(rays) == 0 and rays.strongest(AXES[0]) == ()
