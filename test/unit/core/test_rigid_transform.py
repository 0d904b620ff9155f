"""RigidTransform against SciPy's own rotations and homogeneous matrices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from perception_contrast.core.rigid_transform import PoseError, RigidTransform

seeds = st.integers(0, 10_000)


def drawn(seed: int) -> RigidTransform:
    rng = np.random.default_rng(seed)
    return RigidTransform.of_quaternion(rng.normal(0, 5, 3), rng.normal(0, 1, 4))


def matrix(transform: RigidTransform) -> np.ndarray:
    result = np.eye(4)
    result[:3, :3], result[:3, 3] = transform.rotation, transform.translation
    return result


@given(seeds, seeds)
@settings(max_examples=30)
def test_composes_as_homogeneous_matrices_do(first: int, second: int) -> None:
    a, b = drawn(first), drawn(second + 20_000)
    np.testing.assert_allclose(matrix(a @ b), matrix(a) @ matrix(b), atol=1e-9)
    np.testing.assert_allclose(matrix(a.inverse()), np.linalg.inv(matrix(a)), atol=1e-9)
    points = np.random.default_rng(first).normal(0, 3, (7, 3))
    expected = (matrix(a) @ np.column_stack([points, np.ones(7)]).T).T[:, :3]
    np.testing.assert_allclose(a.apply(points), expected, atol=1e-9)


@given(seeds, seeds, st.floats(0, 1))
@settings(max_examples=30)
def test_interpolates_at_a_constant_rate(first: int, second: int, share: float) -> None:
    a, b = drawn(first), drawn(second + 20_000)
    metres, radians = a.difference(b)
    moved, turned = a.difference(a.interpolated(b, share))
    assert moved == pytest.approx(share * metres, abs=1e-9)
    assert turned == pytest.approx(share * radians, abs=1e-6)


def test_quaternion_is_that_of_the_messages() -> None:
    given_quaternion = Rotation.from_euler("xyz", [0.1, -0.4, 2.0]).as_quat()
    made = RigidTransform.of_quaternion((1, 2, 3), -3.0 * given_quaternion)
    np.testing.assert_allclose(made.quaternion, given_quaternion * np.sign(given_quaternion[3]), atol=1e-12)


@pytest.mark.parametrize(
    ("translation", "quaternion"),
    [((0, 0, 0), (0, 0, 0, 0)), ((np.nan, 0, 0), (0, 0, 0, 1)), ((0, 0, 0), (0, np.inf, 0, 1))],
)
def test_refuses_what_is_no_pose(translation: tuple[float, ...], quaternion: tuple[float, ...]) -> None:
    with pytest.raises(PoseError):
        RigidTransform.of_quaternion(translation, quaternion)
