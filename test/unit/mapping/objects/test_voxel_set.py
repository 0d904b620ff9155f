"""VoxelSet: keys, shares, and what becomes of voxels that are seen and not the object's."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from perception_contrast.core.rigid_transform import RigidTransform
from perception_contrast.mapping.objects.voxel_set import VoxelSet, packed, unpacked

SIZE = 0.05
seeds = st.integers(0, 10_000)


def drawn(seed: int, count: int = 200, spread: float = 0.3) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-spread, spread, (count, 3))


@given(seeds)
@settings(max_examples=25, deadline=None)
def test_keys_are_those_of_the_points_and_centroids_their_means(seed: int) -> None:
    points = drawn(seed)
    voxels = VoxelSet.of_points(points, SIZE)
    keys = np.floor(points / SIZE).astype(np.int32)
    np.testing.assert_array_equal(voxels.keys, np.unique(keys, axis=0))
    np.testing.assert_array_equal(unpacked(packed(keys)), keys)
    first = (keys == voxels.keys[0]).all(axis=1)
    np.testing.assert_allclose(voxels.centroids[0], points[first].mean(axis=0), atol=1e-6)


@given(seeds, seeds)
@settings(max_examples=25, deadline=None)
def test_shares_and_unions_are_those_of_sets(first: int, second: int) -> None:
    one, other = VoxelSet.of_points(drawn(first), SIZE), VoxelSet.of_points(drawn(second, 60), SIZE)
    sets = [set(map(tuple, voxels.keys.tolist())) for voxels in (one, other)]
    assert one.overlap(other) == len(sets[0] & sets[1]) / min(map(len, sets)) == other.overlap(one)
    both = one.joined(other)
    assert set(map(tuple, both.keys.tolist())) == sets[0] | sets[1]
    assert both.hits.sum() == len(one) + len(other)
    assert VoxelSet.of_points(np.zeros((0, 3)), SIZE).overlap(one) == 0.0


@given(seeds)
@settings(max_examples=25, deadline=None)
def test_a_moved_set_lies_where_its_points_went(seed: int) -> None:
    voxels = VoxelSet.of_points(drawn(seed), SIZE)
    turn = RigidTransform(Rotation.random(random_state=seed).as_matrix(), np.array([1.0, -2.0, 0.5]))
    moved = voxels.moved(turn, SIZE)
    expected = turn.apply(voxels.centroids.astype(float))
    np.testing.assert_allclose(moved.centroids.mean(axis=0), expected.mean(axis=0), atol=0.02)
    assert (np.diff(moved.codes) > 0).all() and len(moved) <= len(voxels)
    inside = np.floor(moved.centroids / SIZE).astype(np.int32) == moved.keys
    assert inside.all(axis=1).mean() > 0.98  # float32 centroids on a voxel's face may fall to either side


def test_what_is_in_view_and_hardly_ever_in_a_mask_leaves() -> None:
    part, rest = drawn(1, 50, 0.1), drawn(2, 50, 0.1) + 1.0
    voxels = VoxelSet.of_points(np.concatenate([part, rest]), SIZE)
    own = VoxelSet.of_points(part, SIZE)
    nothing = np.zeros(len(voxels), bool)
    for _ in range(6):
        missed = own.rows_of(voxels.codes) < 0
        voxels = voxels.looked_at(missed, nothing[: len(voxels)]).joined(own)
    np.testing.assert_array_equal(voxels.codes, own.codes)


def test_what_is_seen_behind_of_leaves_by_halves_and_something_stays() -> None:
    voxels = VoxelSet.of_points(drawn(3), SIZE)
    for _ in range(3):
        voxels = voxels.joined(voxels)
    behind = np.zeros(len(voxels), bool)
    behind[:10] = True
    nothing = np.zeros(len(voxels), bool)
    kept = voxels.looked_at(nothing, behind)
    assert len(kept) == len(voxels) and (kept.hits[:10] == voxels.hits[:10] // 2).all()
    for _ in range(4):
        kept = kept.looked_at(nothing[: len(kept)], np.isin(kept.codes, voxels.codes[:10]))
    np.testing.assert_array_equal(kept.codes, voxels.codes[10:])
    everything = np.ones(len(kept), bool)
    for _ in range(5):
        kept = kept.looked_at(nothing[: len(kept)], everything)
    assert len(kept) == len(voxels) - 10


def test_points_that_are_no_places_are_left_out() -> None:
    points = np.array([[0.1, 0.1, 0.1], [np.nan, 0, 0], [np.inf, 0, 0], [1e12, 0, 0]])
    assert VoxelSet.of_points(points, SIZE).keys.tolist() == [[2, 2, 2]]
