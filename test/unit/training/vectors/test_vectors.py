"""What vectors tell, beside scikit-learn and plain counts; and the pages and lists that say it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from recordings import image
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors

from perception_contrast.core.errors import PerceptionError
from perception_contrast.images.files import load_image, save_image
from perception_contrast_training.cli import embed_command
from perception_contrast_training.embedding.find_data import find_data
from perception_contrast_training.embedding.run import embed
from perception_contrast_training.embedding.settings import EmbedSettings
from perception_contrast_training.vectors.coverage import coverage, radii
from perception_contrast_training.vectors.neighbours import nearest
from perception_contrast_training.vectors.outliers import outliers
from perception_contrast_training.vectors.selection import choose


def clustered(count: int = 300, clusters: int = 6, noise: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(clusters, 16))
    labels = rng.integers(clusters, size=count)
    vectors = centres[labels] / np.linalg.norm(centres[labels], axis=1, keepdims=True)
    vectors = vectors + noise * rng.normal(size=(count, 16))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), labels


@pytest.mark.parametrize("block", [64, 2048])
def test_neighbours_and_outliers_are_sklearns(block: int) -> None:
    vectors, _ = clustered()
    vectors[17] = -vectors[17]
    cosines, numbers = nearest(vectors, 10, block=block)
    model = NearestNeighbors(n_neighbors=10).fit(vectors)
    distances, _ = model.kneighbors()
    found = outliers(cosines, numbers)
    np.testing.assert_allclose(found.knn, distances[:, -1], atol=1e-4)
    factor = LocalOutlierFactor(n_neighbors=10).fit(vectors.astype(np.float64))
    np.testing.assert_allclose(found.lof, -factor.negative_outlier_factor_, rtol=2e-3)
    assert found.lof.argmax() == 17


def test_coverage_is_counted() -> None:
    vectors, _ = clustered()
    known = np.arange(0, 300, 50)
    found = coverage(vectors, known, 0.9)
    distances = np.linalg.norm(vectors[:, None] - vectors[None, known], axis=-1).min(axis=1)
    rest = np.setdiff1d(np.arange(300), known)
    assert found.radius == pytest.approx(distances.max(), abs=1e-4)
    assert found.mean == pytest.approx(distances[rest].mean(), abs=1e-4)
    assert found.share == pytest.approx((distances[rest] <= np.sqrt(2 - 2 * 0.9)).mean(), abs=1e-3)


def test_coreset_takes_the_farthest_and_its_radius_falls() -> None:
    vectors, labels = clustered()
    known = np.flatnonzero(labels == 0)[:1]
    found = choose(vectors, 8, labelled=known)
    have = known
    for number, score in zip(found.numbers, found.scores, strict=True):
        far = np.linalg.norm(vectors[:, None] - vectors[None, have], axis=-1).min(axis=1)
        assert far[number] == pytest.approx(far.max(), abs=1e-4) and score == pytest.approx(
            far.max(), abs=1e-4
        )
        have = np.append(have, number)
    assert set(labels[found.numbers[:5]]) == {1, 2, 3, 4, 5}, "a frame of each cluster without a label first"
    curve = radii(vectors, 40)
    assert (np.diff(curve) <= 1e-6).all() and curve[5] < 0.8 < 1.5 < curve[0]
    weights = np.ones(300, np.float32)
    weights[123] = 100.0
    assert choose(vectors, 1, labelled=known, weights=weights).numbers[0] == 123


def test_typical_frames_are_the_middle_of_each_cluster() -> None:
    vectors, labels = clustered()
    found = choose(vectors, 6, "typical")
    assert set(labels[found.numbers]) == set(range(6))
    cosines, _ = nearest(vectors, 20)
    density = cosines.mean(axis=1)
    for number in found.numbers:
        assert density[number] >= np.quantile(density[labels == labels[number]], 0.8)
    rest = choose(vectors, 5, "typical", labelled=np.flatnonzero(labels == 2)[:1])
    assert set(labels[rest.numbers]) == {0, 1, 3, 4, 5}
    every = choose(vectors, 1000, "typical")
    assert sorted(every.numbers) == list(range(300))


@pytest.fixture(scope="module")
def vectors_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 images, three of them twice, and a grey one."""
    folder = tmp_path_factory.mktemp("vectors")
    for number in range(20):
        save_image(folder / "photos" / f"{number:02d}.png", image(number))
    for number in range(3):
        save_image(folder / "photos" / f"again_{number}.png", image(number))
    save_image(folder / "photos" / "grey.png", np.full((48, 64, 3), 90, np.uint8))
    embed(find_data([folder / "photos"]), folder / "v.parquet", EmbedSettings("thumbnail"))
    return folder / "v.parquet"


def test_report_finds_copies_and_the_odd_one(vectors_file: Path, tmp_path: Path) -> None:
    labelled = tmp_path / "labelled.txt"
    labelled.write_text("00.png\nphotos/01.png\n02.png\n")
    words = ["report", str(vectors_file), "--out", str(tmp_path / "report"), "--labelled", str(labelled)]
    assert embed_command.main([*words, "--neighbours", "3"]) == 0
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    copies = {(one["duplicate_of"], one["frame"]) for one in report["duplicates"]["list"]}
    assert copies == {(f"photos/0{n}.png", f"photos/again_{n}.png") for n in range(3)}
    assert report["coverage"]["labelled"] == 3 and 0 < report["coverage"]["share_within"] < 0.5
    assert len(report["outliers"]["list"]) == 24
    page = (tmp_path / "report" / "index.html").read_text()
    for name in ("duplicates", "outliers", "coverage"):
        assert f'src="{name}.png"' in page
        assert load_image(tmp_path / "report" / f"{name}.png").std() > 20, "images, not grey tiles"


def test_select_writes_a_list_and_a_sheet(vectors_file: Path, tmp_path: Path) -> None:
    labelled = tmp_path / "labelled.csv"
    labelled.write_text("key\n" + "\n".join(f"{number:02d}.png" for number in range(19)) + "\n")
    sure = [{"score": 0.99}], [{"score": 0.5}]
    lines = [
        {"source": f"photos/{name}.png", "frame": 0, "stamp": 0, "detections": sure[name == "19"]}
        for name in ("19", "grey", "again_0")
    ]
    seen = tmp_path / "detections.jsonl"
    seen.write_text("".join(json.dumps(line) + "\n" for line in lines))
    words = ["select", str(vectors_file), "--labelled", str(labelled), "--detections", str(seen)]
    assert embed_command.main([*words, "--count", "2", "--out", str(tmp_path / "chosen")]) == 0
    with (tmp_path / "chosen" / "selected.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["key"] for row in rows] == ["19.png", "grey.png"], "no copy of a labelled frame"
    assert load_image(tmp_path / "chosen" / "selected.png").shape[1] > 400


def test_bad_files_are_told(vectors_file: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.parquet"
    cut.write_bytes(vectors_file.read_bytes()[:-100])
    names = tmp_path / "names.txt"
    names.write_text("other.png\n")
    for words, said in (
        (["report", str(cut)], "cannot be read"),
        (["report", str(tmp_path / "no.parquet")], "does not exist"),
        (["report", str(vectors_file), "--radius", "2"], "--radius 2.0 must be a cosine"),
        (["select", str(vectors_file), "--count", "3", "--labelled", str(names)], "none of the frames"),
    ):
        with pytest.raises(PerceptionError, match=said):
            embed_command.main(words)
