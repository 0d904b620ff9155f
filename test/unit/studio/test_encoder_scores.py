"""Scores of encoders on a user's data, similar frames, and how they are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from two_encoders import NAMES, quiet, two_small

from perception_contrast.images.files import save_image
from perception_contrast_training.evaluation.metrics.neighbours import left_out_predictions, neighbour_overlap
from perception_contrast_training.evaluation.progress import listening, tracked

pytest.importorskip("nicegui")
from perception_contrast_studio.components.encoders.method_table import METHODS, runs_by_method
from perception_contrast_studio.components.encoders.score_radar import chart_options, table_rows
from perception_contrast_studio.tasks.datasets.frame_sources import FrameSource
from perception_contrast_studio.tasks.datasets.image_sources import dataset
from perception_contrast_studio.tasks.encoders import encoder_scores, kept_vectors
from perception_contrast_training.methods.registry import METHODS as LEARNED


@pytest.fixture(autouse=True)
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERCEPTION_CONTRAST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(encoder_scores, "loaded_encoder", two_small().__getitem__)
    dataset.cache_clear()
    encoder_scores._shown.cache_clear()


def classes(folder: Path) -> Path:
    """Three classes of noisy colours, eight images each."""
    chance = np.random.default_rng(0)
    for name, colour in (("red", (200, 40, 40)), ("green", (60, 160, 60)), ("grey", (120, 110, 110))):
        (folder / name).mkdir(parents=True)
        for number in range(8):
            noise = chance.normal(0, 45, (60, 60, 3))
            save_image(folder / name / f"{number}.png", np.clip(colour + noise, 0, 255).astype(np.uint8))
    return folder


def expected_knn(vectors: torch.Tensor, labels: torch.Tensor, k: int) -> float:
    """By scikit-learn, each left out in turn."""
    points, truth = vectors.double().numpy(), labels.numpy()
    right = []
    for number in range(len(points)):
        others = np.arange(len(points)) != number
        model = KNeighborsClassifier(
            k, metric="cosine", algorithm="brute", weights=lambda distances: np.exp(-distances / 0.07)
        ).fit(points[others], truth[others])
        right.append(model.predict(points[number : number + 1])[0] == truth[number])
    return float(np.mean(right))


def test_left_out_neighbours_and_their_overlap_are_scikit_learns() -> None:
    chance = torch.Generator().manual_seed(0)
    labels = torch.arange(60) % 4
    vectors = torch.randn(60, 8, generator=chance) + 1.5 * torch.eye(8)[labels]
    predicted = left_out_predictions(vectors, labels, k=7)
    assert float((predicted == labels).float().mean()) == pytest.approx(expected_knn(vectors, labels, 7))
    other = vectors + 0.5 * torch.randn(60, 8, generator=chance)
    near = [
        NearestNeighbors(n_neighbors=6, metric="cosine").fit(one).kneighbors(return_distance=False)
        for one in (vectors.numpy(), other.numpy())
    ]
    expected = np.mean([len(set(a) & set(b)) / 6 for a, b in zip(*near, strict=True)])
    assert neighbour_overlap(vectors, other, 6) == pytest.approx(expected)
    assert np.isnan(neighbour_overlap(vectors[:1], other[:1]))


def test_knn_is_measured_and_what_is_missing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = str(classes(tmp_path / "data"))
    rows = encoder_scores.measure(quiet, NAMES, [folder], 0)
    by_score = {row["score"]: row["scores"] for row in rows}
    for name, score in zip(NAMES, by_score["kNN accuracy"], strict=True):
        seen = kept_vectors.dataset_vectors(
            encoder_scores.loaded_encoder(name).adapter, folder, 0, lambda a, b: None
        )
        assert score["value"] == pytest.approx(expected_knn(seen.encoded.vectors, seen.encoded.labels, 20))
        assert score["count"] == 24
    assert "knows no words" in by_score["presence AUC"][0]["missing"]
    assert "labels/" in by_score["dense probe mIoU"][0]["missing"]
    assert "no times" in by_score["near in time mAP"][0]["missing"]
    # A second time nothing is computed.
    monkeypatch.setattr(kept_vectors, "encode_images", lambda *a, **k: pytest.fail("encoded again"))
    monkeypatch.setattr(encoder_scores, "dataset_vectors", lambda *a, **k: pytest.fail("read again"))
    assert encoder_scores.measure(quiet, NAMES, [folder], 0) == rows


def test_damaged_vectors_are_computed_again_and_changed_data_too(tmp_path: Path) -> None:
    folder = classes(tmp_path / "data")
    adapter = encoder_scores.loaded_encoder("small-dino").adapter
    file = kept_vectors.vectors_file(adapter, str(folder), 0)
    first = kept_vectors.dataset_vectors(adapter, str(folder), 0, lambda a, b: None)
    file.write_bytes(file.read_bytes()[:100])
    again = kept_vectors.dataset_vectors(adapter, str(folder), 0, lambda a, b: None)
    assert torch.equal(first.encoded.vectors, again.encoded.vectors)
    (folder / "red" / "0.png").write_bytes(b"no image")
    dataset.cache_clear()
    assert kept_vectors.vectors_file(adapter, str(folder), 0) != file
    seen = kept_vectors.dataset_vectors(adapter, str(folder), 0, lambda a, b: None)
    assert len(seen.encoded) == 23 and seen.numbers.tolist() == [n for n in range(24) if n != 16]


def test_similar_frames_leave_the_question_out_and_a_part_finds_its_frame(tmp_path: Path) -> None:
    folder = str(classes(tmp_path / "data"))
    source = FrameSource(kind="dataset", path=folder, index=3)
    whole = encoder_scores.similar_frames(quiet, NAMES, source, None, folder, 0, 4)
    for neighbours in whole["neighbours"]:
        cosines = [one["cosine"] for one in neighbours]
        assert 3 not in [one["number"] for one in neighbours] and cosines == sorted(cosines, reverse=True)
    part = encoder_scores.similar_frames(quiet, NAMES, source, (0.0, 0.0, 1.0, 1.0), folder, 0, 4)
    assert [neighbours[0]["number"] for neighbours in part["neighbours"]] == [3, 3]
    assert part["neighbours"][0][0]["cosine"] == pytest.approx(1.0, abs=1e-4)


def test_loops_of_the_evaluation_tell_a_listener() -> None:
    told: list[tuple[str, int, int]] = []
    with listening(lambda *step: told.append(step)):
        assert list(tracked("ab", "letters", 2)) == ["a", "b"]
    assert told == [("letters", 0, 2), ("letters", 1, 2), ("letters", 2, 2)]
    assert list(tracked("ab", "letters", 2)) == ["a", "b"] and len(told) == 3


def scored(*values: float | None) -> list[dict[str, Any]]:
    missing = {None: "no labels"}
    return [
        {"value": one, "count": 0 if one is None else 5, "missing": missing.get(one, "")} for one in values
    ]


def test_the_chart_draws_what_was_measured_of_both_alone() -> None:
    rows = [{"score": f"s{n}", "dataset": "/d/mine", "scores": scored(0.1 * n, 0.5)} for n in range(3)]
    rows.append({"score": "words", "dataset": "/d/mine", "scores": scored(None, 0.7)})
    radar = chart_options(rows, ["one", "two"])
    assert radar is not None and len(radar["radar"]["indicator"]) == 3
    assert radar["series"][0]["data"][1]["value"] == [0.5, 0.5, 0.5]
    bars = chart_options(rows[:2], ["one", "two"])
    assert bars is not None and bars["series"][0]["type"] == "bar"
    assert chart_options(rows[3:], ["one", "two"]) is None
    told = table_rows(rows)[3]
    assert (told["first"], told["second"], told["count"]) == ("-", "0.700", "5")
    assert told["missing"] == "Not measured: no labels."


def test_the_table_names_methods_and_recipes_that_exist(repository: Path, tmp_path: Path) -> None:
    shipped = {path.stem for path in (repository / "training" / "recipes").glob("*.yaml")}
    for one in METHODS:
        assert one.method in LEARNED and set(one.recipes) <= shipped
    for name, text in (
        ("a", "method: dino\n"),
        ("b", "method: dino\n"),
        ("c", "method: [mae\n"),
        ("d", "- 1\n"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "recipe.yaml").write_text(text)
    assert runs_by_method([tmp_path]) == {"dino": [tmp_path / "a", tmp_path / "b"]}
    assert runs_by_method([tmp_path / "a"]) == {"dino": [tmp_path / "a"]}
