"""Figures of encoders against scikit-learn, by hand, and on data whose answer is known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from sklearn.neighbors import KNeighborsClassifier
from tiny_methods import Colours
from torch import Tensor

from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.evaluation.clustering import best_names, clustering_figures
from perception_contrast_training.evaluation.compare import (
    CompareSettings,
    caption_retrieval,
    compare,
    time_figures,
)
from perception_contrast_training.evaluation.corruptions import CHANGES, blurred, lit, turned
from perception_contrast_training.evaluation.encoding import (
    EncodedImages,
    EncoderAdapter,
    encode_images,
    fitted,
)
from perception_contrast_training.evaluation.held_out import split
from perception_contrast_training.evaluation.linear import linear_sklearn, linear_torch
from perception_contrast_training.evaluation.metrics.neighbours import (
    knn_accuracy,
    knn_predictions,
    recall_at,
    retrieval,
    time_precisions,
)


@pytest.fixture
def blobs() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Three classes that overlap: train, labels, test, truths."""
    chance = torch.Generator().manual_seed(0)
    labels = torch.arange(240) % 3
    points = torch.eye(3, 12)[labels] * 1.5 + torch.randn(240, 12, generator=chance)
    return points[:180], labels[:180], points[180:], labels[180:]


# Neighbours.


def test_knn_is_scikit_learns(blobs: tuple[Tensor, Tensor, Tensor, Tensor]) -> None:
    train, labels, test, truth = blobs

    def weights(distances: np.ndarray) -> np.ndarray:
        return np.exp((1 - distances) / 0.07)  # cosine distance to similarity

    other = KNeighborsClassifier(20, weights=weights, metric="cosine", algorithm="brute")
    expected = other.fit(train.numpy(), labels.numpy()).predict(test.numpy())
    predicted = knn_predictions(train, labels, test)
    assert predicted.tolist() == expected.tolist()
    accuracy = knn_accuracy(train, labels, test, truth)
    assert accuracy == pytest.approx(other.score(test.numpy(), truth.numpy()))
    assert 0.5 < accuracy < 1.0
    assert knn_accuracy(train, labels, train, labels, k=1) == 1.0


def test_more_neighbours_than_there_are_is_all_of_them() -> None:
    vectors, labels = torch.eye(3), torch.tensor([0, 1, 2])
    assert knn_predictions(vectors, labels, vectors, k=20).tolist() == [0, 1, 2]


def test_recall_counts_ties_against_and_no_answer_as_missed() -> None:
    keys = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    queries = torch.tensor([[1.0, 0.1], [0.0, 1.0], [0.0, -1.0]])
    right = np.zeros((3, 4), bool)
    right[0, 1] = right[1, 2] = True
    assert recall_at(queries, keys, right, (1, 2)) == {1: pytest.approx(1 / 3), 2: pytest.approx(2 / 3)}


def test_retrieval_goes_both_ways_with_several_captions() -> None:
    image = torch.eye(4)
    text = torch.eye(4)[[0, 0, 1, 3, 2]]  # the last two captions are swapped
    found = retrieval(image, text, [0, 0, 1, 2, 3], (1, 4))
    assert found["text to image R@1"] == pytest.approx(3 / 5)
    assert found["image to text R@1"] == pytest.approx(2 / 4)
    assert found["text to image R@4"] == 1.0


def test_frames_that_share_a_caption_are_all_right() -> None:
    """Three frames of a kitchen say one thing: each of them is found by it, and finds it."""
    image = torch.tensor([[1.0, 0.1], [1.0, 0.0], [1.0, -0.1], [0.0, 1.0], [-1.0, 0.0]])
    said = {"a kitchen": [1.0, 0.0], "a hall": [0.0, 1.0], "a way out": [0.1, 1.0]}

    def words(texts: Sequence[str]) -> Tensor:
        return torch.tensor([said[text] for text in texts])

    found = caption_retrieval(image, words, ["a kitchen", "a kitchen", "a kitchen", "a hall\na way out", ""])
    assert found["image to text R@1"] == found["text to image R@1"] == 1.0


def seen_at(vectors: Tensor, stamps: list[int], groups: list[int]) -> EncodedImages:
    count, nowhere = len(vectors), torch.full((len(vectors),), -1)
    return EncodedImages(vectors, nowhere, np.array(stamps), np.array(groups), ("",) * count)


def test_recordings_with_no_two_frames_to_compare_give_no_figure() -> None:
    """A mean over nothing is no number, and would decide which checkpoint is best."""
    alone = seen_at(torch.eye(3), [0, 0, 0], [0, 1, 2])
    assert time_figures(alone) == {}
    # Two cameras at one time: the usual time is that between frames, not nothing.
    both = seen_at(
        torch.eye(2).repeat_interleave(4, 0), [n * 10**9 for n in (0, 0, 1, 1, 60, 60, 61, 61)], [0] * 8
    )
    assert time_figures(both) == {"near in time mAP": 1.0}


def test_an_encoder_that_is_broken_has_no_figures() -> None:
    """No comparison with NaN is true: without this its captions would all be found first."""

    def broken(images: Tensor) -> Tensor:
        return torch.full((len(images), 4), torch.nan)

    adapter = EncoderAdapter("burnt", "burnt@0", broken, 8, (0.5,) * 3, (0.5,) * 3)
    with pytest.raises(PerceptionError, match="'burnt' gives vectors that are not finite"):
        encode_images(adapter, Colours(6))


def test_near_in_time_is_mean_average_precision() -> None:
    chance = np.random.default_rng(0)
    vectors = torch.from_numpy(chance.standard_normal((30, 5)))
    stamps, groups = np.arange(30, dtype=np.int64) * 500_000_000, np.arange(30) // 15
    unit = torch.nn.functional.normalize(vectors, dim=-1).numpy()
    expected = []
    for i in range(30):
        others = np.arange(30) != i
        near = (np.abs(stamps - stamps[i]) <= 1e9) & (groups == groups[i])
        expected.append(average_precision_score(near[others], (unit @ unit[i])[others]))
    np.testing.assert_allclose(time_precisions(vectors, stamps, groups, 1.0), expected, atol=1e-6)
    path = torch.linspace(0, 1.5, 30)
    moving = torch.stack([path.cos(), path.sin()], dim=1)
    assert time_precisions(moving, stamps, np.zeros(30, np.int64), 1.0).mean() > 0.95
    assert not len(time_precisions(vectors[:2], stamps[[0, 29]], groups[[0, 29]], 1.0))


# Linear probe.


def test_both_linear_probes_are_one(blobs: tuple[Tensor, Tensor, Tensor, Tensor]) -> None:
    train, labels, test, _ = blobs
    for strength in (0.01, 1.0):
        ours, theirs = (solve(train, labels, test, strength) for solve in (linear_torch, linear_sklearn))
        assert ours.tolist() == theirs.tolist()


# Clustering.


def test_clusters_get_the_names_that_fit_most() -> None:
    counts = np.array([[1, 9, 0], [8, 0, 3], [0, 9, 2]])
    assert best_names(counts).tolist() == [1, 0, 2], "one name a cluster, though two want the second"
    assert sorted(best_names(np.array([[5, 0], [4, 1], [0, 3]])).tolist()) == [-1, 0, 1]


def test_separable_features_cluster_into_their_classes() -> None:
    labels = np.repeat(np.repeat(np.arange(4).reshape(2, 2), 8, 0), 8, 1)
    cells = torch.from_numpy(labels[::4, ::4].copy())
    features = torch.eye(4)[cells].permute(2, 0, 1) + 0.01
    found = clustering_figures([features, features.flip(1)], [labels, labels[::-1].copy()], 4)
    assert found == {"clustering mIoU": 1.0, "clustering accuracy": 1.0}
    noise = torch.randn(4, 4, 4, generator=torch.Generator().manual_seed(0))
    assert clustering_figures([noise], [labels], 4)["clustering mIoU"] < 0.7


# What is changed and what is kept back.


def test_changes_are_what_they_say() -> None:
    image = torch.zeros(3, 40, 60, dtype=torch.uint8)
    image[:, 10:30, 20:40] = 200
    assert all(change(image).shape == image.shape for change in CHANGES.values())
    assert all(change(image).dtype == torch.uint8 for change in CHANGES.values())
    dark = lit(0.25)(image)
    assert dark.max() == pytest.approx(200 * 0.25 ** (1 / 2.2), abs=1)
    assert torch.equal(turned(90)(image[:, :, 10:50]), image[:, :, 10:50].rot90(1, (1, 2)))
    soft = blurred(0.05)(image).float()
    assert soft.std() < image.float().std()
    assert float(soft.mean()) == pytest.approx(float(image.float().mean()), rel=0.02)


def test_the_end_of_each_recording_is_kept_back() -> None:
    stamps = np.concatenate([np.arange(100), np.arange(50)]) * 200_000_000
    groups = np.repeat([0, 1], [100, 50])
    learned, held = split(150, 0.2, stamps=stamps, groups=groups, margin=1.0)
    assert held.tolist() == [*range(80, 100), *range(140, 150)]
    for group in (0, 1):
        last = stamps[learned[groups[learned] == group]].max()
        assert last <= stamps[held[groups[held] == group]].min() - 1e9
    with pytest.raises(PerceptionError, match="cannot be split"):
        split(3, 0.9, stamps=stamps[:3])


def test_images_without_stamps_are_drawn_by_chance() -> None:
    learned, held = split(100, 0.25, seed=1)
    assert sorted([*learned, *held]) == list(range(100)) and len(held) == 25
    assert held.tolist() == split(100, 0.25, seed=1)[1].tolist() != split(100, 0.25, seed=2)[1].tolist()


def test_images_fit_without_stretching() -> None:
    image = torch.zeros(3, 20, 60, dtype=torch.uint8)
    image[:, :, 20:40] = 255
    seen = fitted(image, 10, (0.0,) * 3, (1.0,) * 3)
    assert seen.shape == (3, 10, 10) and seen.mean() > 0.95


# Side by side.


def mean_colour(images: Tensor) -> Tensor:
    return images.mean(dim=(2, 3)) - images.mean()


def constant(images: Tensor) -> Tensor:
    return torch.ones(len(images), 3)


def words(texts: list[str]) -> Tensor:
    return torch.stack([torch.tensor([float(name in t) for name in Colours.classes]) for t in texts])


def adapter(name: str, network: object, **options: object) -> EncoderAdapter:
    return EncoderAdapter(name, f"{name}@1", network, 8, (0.5,) * 3, (0.5,) * 3, **options)  # type: ignore[arg-type]


def test_a_good_encoder_beats_a_blind_one_in_every_figure() -> None:
    good, blind = adapter("good", mean_colour, words=words), adapter("blind", constant, words=words)
    outcome = compare([good, blind], Colours(96), CompareSettings(held_out=0.25))
    a, b = (outcome.figures["encoders"][name] for name in ("good", "blind"))
    for figure in ("kNN", "linear probe", "zero-shot"):
        assert a[figure] == 1.0 and b[figure] < 0.7, figure
    assert a["blur 3 %: kNN"] == 1.0 and b["blur 3 %: cosine"] == pytest.approx(1.0)
    assert a["rank"] > 1.5 > b["rank"] and b["spread"] == 0.0
    assert a["space"] == "good@1" and outcome.images["compare.png"].ndim == 3
    assert "near in time mAP" in a, "the images have stamps"


def test_unknown_tasks_are_refused() -> None:
    with pytest.raises(PerceptionError, match="task 'knnn' is unknown"):
        compare([adapter("x", mean_colour)], Colours(), CompareSettings(tasks=("knnn",)))


def test_damaged_images_are_left_out_and_counted(tmp_path: Path) -> None:
    from PIL import Image

    from perception_contrast_training.data.datasets.open_dataset import open_dataset

    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (9, 9), (200, 0, 0)).save(tmp_path / name / "1.png")
    (tmp_path / "a" / "2.png").write_bytes(b"no image")
    seen = encode_images(adapter("x", mean_colour), open_dataset(tmp_path))
    assert (len(seen), seen.unreadable, seen.labels.tolist()) == (2, 1, [0, 1])
