"""How unlike its training images a stream is: distances, the file, and when a stream is told."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from perception_contrast.core.errors import ModelError, PerceptionError
from perception_contrast.encoders.familiarity.stream_monitor import FIRST_FRAMES, StreamMonitor
from perception_contrast.encoders.familiarity.training_images import (
    TrainingImages,
    load_training_images,
    save_training_images,
)
from perception_contrast_training.household.photo_shards import PhotoShard
from perception_contrast_training.household.training_image_statistics import (
    fit_gaussians,
    fit_training_images,
    home_vectors,
)
from perception_contrast_training.photographs.base import PhotoRegion, SetFacts

CHANNELS, SPACE = 24, "dino@0123456789ab"


def drawn(count: int, seed: int, centre: float = 0.0) -> np.ndarray:
    """(count, CHANNELS) of a Gaussian with a few strong directions; they depend on the centre alone."""
    mixing = np.random.default_rng(round(100 * centre)).normal(size=(CHANNELS, CHANNELS))
    mixing *= np.geomspace(1.0, 0.05, CHANNELS)[:, None]
    values = np.random.default_rng(seed).normal(size=(count, CHANNELS)) @ mixing + centre
    return values.astype(np.float32)


@pytest.fixture(scope="module")
def images() -> TrainingImages:
    parts = {name: (drawn(2000, 1, at), drawn(800, 2, at)) for name, at in (("rooms", 0.0), ("homes", 9.0))}
    return fit_gaussians(parts, SPACE, 0.99, rank=8)


def test_distances_are_mahalanobis_distances_where_every_direction_counts() -> None:
    from scipy.spatial.distance import mahalanobis

    vectors, others = drawn(500, 3), drawn(5, 4, 1.0)
    images = fit_gaussians({"rooms": (vectors, drawn(200, 5))}, SPACE, rank=CHANNELS - 1)
    inverse = np.linalg.inv(np.cov(vectors.astype(float), rowvar=False))
    expected = [mahalanobis(one, vectors.mean(axis=0), inverse) / CHANNELS**0.5 for one in others]
    assert np.allclose(images.distances(others)[:, 0], expected, rtol=2e-2)


def test_the_stated_share_of_images_of_each_kind_is_within_the_limit(images: TrainingImages) -> None:
    for centre in (0.0, 9.0):
        within = (images.unlikeness(drawn(4000, 6, centre)) <= 1).mean()
        assert 0.97 < within < 1.0
    assert (images.unlikeness(drawn(200, 7, 4.0)) > 1).all()


def test_a_file_gives_the_same_distances_and_a_damaged_one_is_refused(
    images: TrainingImages, tmp_path: Path
) -> None:
    path = tmp_path / "images.safetensors"
    save_training_images(images, path)
    again, probes = load_training_images(path), drawn(50, 8, 3.0)
    assert again.space == SPACE and again.facts == images.facts
    assert np.allclose(again.unlikeness(probes), images.unlikeness(probes), rtol=0.01)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ModelError, match="images"):
        load_training_images(path)
    save_training_images(replace(images, limit=np.zeros(2, np.float32)), path)
    with pytest.raises(ModelError, match="positive"):
        load_training_images(path)


def test_a_stream_is_told_once_and_is_forgiven_when_it_is_back(
    images: TrainingImages, caplog: pytest.LogCaptureFixture
) -> None:
    monitor = StreamMonitor(images, "household-lit")
    home, street = drawn(200, 9), drawn(200, 10, 4.0)
    with caplog.at_level(logging.WARNING):
        first = [monitor.update("front", one).warning for one in street[: FIRST_FRAMES - 1]]
        told = [monitor.update("front", one).warning for one in street[FIRST_FRAMES:60]]
        back = [monitor.update("front", one).warning for one in home[:100]]
        again = [monitor.update("front", one).warning for one in street[60:]]
    assert not any(first) and all(told) and "siglip2-b16" in told[0]
    assert back[0] and not back[-1] and again[-1]
    assert len([one for one in caplog.records if "household-lit" in one.message]) == 1


def test_one_odd_frame_says_nothing_and_streams_are_apart(images: TrainingImages) -> None:
    monitor = StreamMonitor(images, "household-lit")
    far = drawn(1, 11, 4.0)[0] * 1e3
    for one in drawn(20, 12):
        monitor.update("front", one)
    assert not monitor.update("front", far).warning
    for _ in range(FIRST_FRAMES):
        last = monitor.update("back", far)
    assert last.warning and not monitor.update("front", drawn(1, 13)[0]).warning


def test_photographs_of_streets_are_left_out() -> None:
    cells = np.zeros((2, 10, 10), np.uint8)
    cells[0, :6], cells[0, 6:] = 1, 2
    cells[1], cells[1, :2, :4] = 2, 1
    shown = (PhotoRegion("road"), PhotoRegion("sofa"))
    nothing = np.zeros((2, 1), np.float16)
    shard = PhotoShard(
        nothing,
        np.array([[1.0, 2.0], [3.0, 4.0]], np.float16),
        nothing,
        cells,
        np.full((2, 10, 10), 255, np.uint8),
        [shown, shown],
        SetFacts("mixed", "free", frozenset({"road", "sofa"})),
    )
    assert home_vectors(shard).tolist() == [[3.0, 4.0]]


def test_a_run_without_enough_shards_is_told(tmp_path: Path) -> None:
    with pytest.raises(PerceptionError, match="train step"):
        fit_training_images(tmp_path, SPACE)
