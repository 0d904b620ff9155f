"""Positives and negatives of frames whose places and times are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from recordings import SECOND, drive, write
from scipy.spatial.transform import Rotation
from torch.utils.data import DataLoader

from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.data.bags.extract import extract
from perception_contrast_training.data.bags.options import ExtractOptions
from perception_contrast_training.data.bags.transforms import product, rotated, slerp
from perception_contrast_training.data.datasets.frame_table import Frames, viewing_directions
from perception_contrast_training.data.datasets.shards import ShardDataset
from perception_contrast_training.data.pairs.frame_pairs import (
    PairDataset,
    PairFinder,
    PairRules,
    PairSampler,
    negative_mask,
)


def world(
    seconds: list[float],
    sources: list[int],
    cameras: list[int],
    places: list[tuple[float, float]] | None = None,
    headings: list[float] | None = None,
) -> Frames:
    count = len(seconds)
    positions = np.full((count, 3), np.nan)
    directions = np.full((count, 3), np.nan)
    if places is not None:
        positions = np.column_stack([np.array(places, float), np.zeros(count)])
        angles = np.radians(headings or [0.0] * count)
        directions = np.column_stack([np.cos(angles), np.sin(angles), np.zeros(count)])
    return Frames(
        np.round(np.array(seconds) * SECOND).astype(np.int64),
        np.array(sources),
        np.array(cameras),
        positions,
        directions,
        np.zeros(count, np.int64),
    )


def test_temporal_and_cross_camera_positives() -> None:
    #                0    1    2     3 (other camera)  4 (other recording)  5
    frames = world([0.0, 0.9, 2.5, 0.02, 0.0, 1.0], [0, 0, 0, 0, 1, 0], [0, 0, 0, 1, 2, 0])
    finder = PairFinder(frames, PairRules(temporal=1.0, cross_camera=0.05))
    assert finder.temporal(0).tolist() == [1, 5] and finder.across_cameras(0).tolist() == [3]
    assert finder.positives(0).tolist() == [1, 3, 5]
    assert finder.positives(4).tolist() == [] and finder.positives(2).tolist() == []
    assert PairFinder(frames, PairRules(temporal=0, cross_camera=0)).positives(0).tolist() == []


def test_views_of_one_place_by_distance_and_direction() -> None:
    places = [(0.0, 0.0), (0.3, 0.4), (0.3, 0.41), (0.1, 0.0), (0.1, 0.0), (0.0, 0.1)]
    headings = [0.0, 29.0, 0.0, 31.0, 180.0, -30.0]
    frames = world([0, 100, 200, 300, 400, 500], [0, 1, 2, 3, 0, 1], [0, 1, 2, 3, 0, 1], places, headings)
    finder = PairFinder(frames, PairRules(place_distance=0.5, place_angle=30.0))
    # 1: at 0.5 m and 29 degrees. 2: a hair too far. 3 and 4: looks elsewhere. 5: just within.
    assert finder.positives(0).tolist() == [1, 5]


def test_negatives_are_never_near_in_time_or_place() -> None:
    places = [(0.0, 0.0), (1.9, 0.0), (2.0, 0.0), (50.0, 0.0), (50.0, 0.0), (np.nan, np.nan)]
    frames = world([0, 100, 200, 9.9, 10.0, 10.0], [0, 1, 1, 0, 0, 0], [0, 1, 1, 0, 0, 0], places)
    finder = PairFinder(frames, PairRules(negative_time=10.0, negative_distance=2.0))
    #     itself  1.9 m  2.0 m  9.9 s  10 s and far  10 s, place unknown
    wanted = [False, False, True, False, True, True]
    mask = negative_mask(finder, torch.arange(6))
    assert mask[0].tolist() == wanted
    assert torch.equal(mask, mask.T) and not mask.diagonal().any()


def test_mask_agrees_with_the_definition_on_random_worlds() -> None:
    rng = np.random.default_rng(1)
    count = 60
    frames = world(
        (rng.random(count) * 60).tolist(),
        rng.integers(0, 2, count).tolist(),
        [0] * count,
        [(float(x), float(y)) for x, y in rng.random((count, 2)) * 8],
        (rng.random(count) * 360).tolist(),
    )
    finder = PairFinder(frames)
    rules = finder.rules
    mask = negative_mask(finder, torch.arange(count))
    for a in range(count):
        for b in range(count):
            soon = frames.sources[a] == frames.sources[b]
            soon &= abs(frames.stamps[a] - frames.stamps[b]) < rules.negative_time * SECOND
            close = np.hypot(*(frames.positions[a] - frames.positions[b])[:2]) < rules.negative_distance
            assert bool(mask[a, b]) == (a != b and not soon and not close)
        positives = finder.positives(a)
        assert not mask[a, positives].any(), "no positive is ever a negative"


def route(count: int = 400) -> Frames:
    """A frame a second along a line at half a metre a second."""
    return world(
        [float(n) for n in range(count)],
        [0] * count,
        [0] * count,
        [(0.5 * n, 0.0) for n in range(count)],
    )


def test_batches_hold_only_frames_that_may_be_negatives() -> None:
    finder = PairFinder(route())
    sampler = PairSampler(finder, 8, seed=5)
    anchors = []
    clean = 0
    for pairs in sampler:
        assert len(pairs) == 8
        for anchor, positive in pairs:
            assert positive in finder.positives(anchor)
        frames = torch.tensor(pairs).T.flatten()
        mask = negative_mask(finder, frames)
        own = torch.eye(8, dtype=torch.bool).repeat(2, 2)
        clean += bool((mask | own).all())
        anchors += [anchor for anchor, _ in pairs]
    assert len(set(anchors)) == len(anchors) == len(sampler) * 8
    # Batches drawn without care would hardly ever be clean: 8 of 400 s, 20 s taken by each.
    assert clean >= 0.8 * len(sampler)


def test_sampler_repeats_goes_on_and_shares_between_ranks() -> None:
    finder = PairFinder(route(100))

    def fresh(**options: int) -> PairSampler:
        return PairSampler(finder, 6, seed=7, **options)

    sampler = fresh()
    first, second = list(sampler), list(sampler)
    assert first != second and sampler.epoch == 2
    assert list(fresh()) == first
    assert list(PairSampler(finder, 6, seed=8)) != first
    begun = fresh()
    part = iter(begun)
    got = [next(part) for _ in range(5)]
    state = begun.state()
    resumed = fresh()
    resumed.restore(state)
    assert got + list(resumed) == first and list(resumed) == second
    ranks = [list(fresh(rank=rank, ranks=3)) for rank in range(3)]
    for step, whole in enumerate(first):
        shared = [pair for rank in ranks for pair in rank[step]]
        assert sorted(shared) == sorted(whole) and {len(rank[step]) for rank in ranks} == {2}
    with pytest.raises(PerceptionError, match="seed 7"):
        PairSampler(finder, 6, seed=1).restore(state)


def test_small_data_fills_its_batches() -> None:
    finder = PairFinder(route(12))
    (pairs,) = PairSampler(finder, 10)
    assert len(pairs) == 10
    with pytest.raises(PerceptionError, match="12 of 12 frames have a positive, too few for a batch of 16"):
        PairSampler(finder, 16)
    with pytest.raises(PerceptionError, match="multiple of 4"):
        PairSampler(finder, 10, ranks=4)
    with pytest.raises(PerceptionError, match="nearer than negatives"):
        PairRules(temporal=20.0)


def test_pairs_of_an_extracted_dataset(tmp_path: Path) -> None:
    bags = [write(tmp_path / f"bag{n}", drive(8, first=n)) for n in range(2)]
    extract(bags, tmp_path / "set", ExtractOptions(), workers=1)
    dataset = ShardDataset(tmp_path / "set")
    frames = Frames.of(dataset)
    # The base drives along x, and the camera looks the same way.
    np.testing.assert_allclose(frames.directions, np.tile([1.0, 0, 0], (16, 1)), atol=1e-12)
    finder = PairFinder(frames, PairRules(temporal=0, place_distance=0.25, place_angle=5))
    # Both drives passed each place: frame n of the first is where frame n - 1 of the second is.
    assert finder.positives(3).tolist() == [8 + 2]
    sampler = PairSampler(PairFinder(frames), 4)
    loader = DataLoader(PairDataset(dataset), batch_sampler=sampler, num_workers=1)  # type: ignore[arg-type]
    for batch, pairs in zip(loader, PairSampler(PairFinder(frames), 4), strict=True):
        found = list(zip(batch["first"]["index"].tolist(), batch["second"]["index"].tolist(), strict=True))
        assert found == pairs and batch["first"]["image"].shape == (4, 3, 48, 64)


def test_rotations_against_scipy() -> None:
    rng = np.random.default_rng(0)
    one, other = (Rotation.random(20, random_state=seed) for seed in (1, 2))
    points = rng.normal(size=(20, 3))
    np.testing.assert_allclose(rotated(one.as_quat(), points), one.apply(points), atol=1e-12)
    both = Rotation.from_quat(product(one.as_quat(), other.as_quat()))
    np.testing.assert_allclose((both * (one * other).inv()).magnitude(), 0, atol=1e-7)
    for a, b in zip(one, other, strict=True):
        share = float(rng.random())
        arc = a * Rotation.from_rotvec(share * (a.inv() * b).as_rotvec())
        ours = Rotation.from_quat(slerp(a.as_quat(), b.as_quat(), share))
        assert (ours * arc.inv()).magnitude() < 1e-6


def test_optical_frames_look_along_z_and_others_along_x() -> None:
    turn = Rotation.from_euler("z", 90, degrees=True).as_quat()
    found = viewing_directions(np.stack([turn, turn]), ["cam_optical_frame", "base_link"])
    np.testing.assert_allclose(found, [[0, 0, 1], [0, 1, 0]], atol=1e-12)
