"""Projections, neighbours and clusters against scikit-learn; UMAP against the groups that it must keep."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("nicegui")

from perception_contrast_studio.points.sources import VectorFile
from perception_contrast_studio.tasks.points import projection
from perception_contrast_studio.tasks.points.umap_projection import nearest_rows, umap_positions


def tell(fraction: float, text: str) -> None:
    """Nobody listens."""


@pytest.fixture
def groups(tmp_path: Path) -> tuple[VectorFile, np.ndarray, np.ndarray]:
    """Six tight groups of unit vectors; the file, the vectors and their groups."""
    chance = np.random.default_rng(3)
    labels = np.repeat(np.arange(6), 50)
    vectors = chance.normal(size=(6, 24))[labels] + chance.normal(size=(300, 24), scale=0.25)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    np.savez(tmp_path / "groups.npz", vectors=vectors.astype(np.float32), labels=labels)
    return VectorFile(tmp_path / "groups.npz", tmp_path), vectors.astype(np.float32), labels


def test_principal_components_are_those_of_scikit_learn(groups):
    from sklearn.decomposition import PCA

    _, vectors, _ = groups
    mean, axes, shares = projection.principal_components(vectors)
    reference = PCA(3, svd_solver="full").fit(vectors)
    np.testing.assert_allclose(mean, reference.mean_, atol=1e-5)
    np.testing.assert_allclose(shares, reference.explained_variance_ratio_, rtol=1e-3)
    np.testing.assert_allclose(np.abs((axes * reference.components_).sum(axis=1)), 1.0, atol=1e-4)


def test_positions_keep_the_projection_up_to_a_shift_and_a_scale(groups):
    from sklearn.decomposition import PCA

    source, vectors, _ = groups
    positions, _ = projection.pca_positions(tell, source, 2)
    assert positions.min() >= -1.0001 and positions.max() <= 1.0001 and not positions[:, 2].any()
    reference = PCA(2, svd_solver="full").fit_transform(vectors)
    for axis in range(2):
        assert abs(np.corrcoef(positions[:, axis], reference[:, axis])[0, 1]) > 0.9999


def test_neighbours_and_cosines_are_exact(groups):
    from sklearn.neighbors import NearestNeighbors

    source, vectors, _ = groups
    found = projection.neighbours(tell, source, 17, 5)
    distances, indices = (
        NearestNeighbors(n_neighbors=6, metric="cosine").fit(vectors).kneighbors(vectors[17:18])
    )
    assert [index for index, _ in found] == indices[0, 1:].tolist()
    np.testing.assert_allclose([cosine for _, cosine in found], 1 - distances[0, 1:], atol=1e-5)
    assert projection.cosine(tell, source, 17, found[0][0]) == pytest.approx(found[0][1], abs=1e-6)


def test_clusters_find_the_groups_the_largest_first(groups):
    source, _, labels = groups
    found = projection.clusters(tell, source, 6)
    assert all(len(set(found[labels == group].tolist())) == 1 for group in range(6))
    sizes = np.bincount(found)
    assert (np.diff(sizes) <= 0).all()


def test_a_word_of_an_image_lands_on_that_image(groups):
    source, vectors, _ = groups
    positions, _ = projection.pca_positions(tell, source, 3)
    places, near = projection.place_words(tell, source, vectors[40:41], 3, None, 3)
    np.testing.assert_allclose(places[0], positions[40], atol=1e-5)
    assert near[0][0][0] == 40 and near[0][0][1] == pytest.approx(1.0, abs=1e-5)


def test_a_word_without_a_formula_lands_inside_its_group(groups):
    source, vectors, labels = groups
    layout = np.zeros((300, 3), np.float32)
    layout[:, 0] = labels
    word = vectors[labels == 4].mean(axis=0, keepdims=True)
    places, _ = projection.place_words(tell, source, word / np.linalg.norm(word), 2, layout, 3)
    assert places[0][0] == pytest.approx(4.0, abs=1e-4)


def test_nearest_rows_are_those_of_a_full_sort():
    chance = np.random.default_rng(0)
    rows, queries = (
        chance.normal(size=(40, 8)).astype(np.float32),
        chance.normal(size=(9, 8)).astype(np.float32),
    )
    indices, products = nearest_rows(queries, rows, 4, lambda part: None)
    full = queries @ rows.T
    np.testing.assert_array_equal(indices, np.argsort(-full, axis=1)[:, :4])
    np.testing.assert_allclose(products, -np.sort(-full, axis=1)[:, :4], rtol=1e-6)


@pytest.mark.slow
def test_umap_of_a_part_keeps_all_groups_together(groups):
    pytest.importorskip("umap")
    from sklearn.neighbors import KNeighborsClassifier

    source, _, labels = groups
    told: list[float] = []
    positions, fitted = umap_positions(lambda part, text: told.append(part), source, 2, 10, 0.1, most=200)
    assert fitted == 200 and positions.shape == (300, 3) and np.isfinite(positions).all()
    assert KNeighborsClassifier(5).fit(positions[:, :2], labels).score(positions[:, :2], labels) > 0.97
    assert told == sorted(told)
