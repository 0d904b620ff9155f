"""Similarity of cells against scipy, regions against known geometry, clusters that keep their numbers."""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import cdist

from perception_contrast.core.feature_grid import FeatureGrid
from perception_contrast.core.grid_to_image import GridToImage
from perception_contrast_studio.robot.cell_features import (
    FeatureClusters,
    cell_at,
    similarity_to_box,
    similarity_to_point,
)

ROWS, COLUMNS, CELL = 6, 8, 10
SIZE = (ROWS * CELL, COLUMNS * CELL)


def _grid(values: np.ndarray, dtype: str = "float32") -> FeatureGrid:
    place = GridToImage.of_resize(SIZE, (ROWS, COLUMNS))
    return FeatureGrid(values.astype(dtype), "model", "space", place, SIZE)


def _two_things(noise: float = 0.0, seed: int = 0) -> np.ndarray:
    """One direction everywhere, another one in rows 1 to 3 and columns 2 to 4."""
    random = np.random.default_rng(seed)
    values = np.zeros((ROWS, COLUMNS, 16), np.float32)
    values[..., 0] = 3.0
    values[1:4, 2:5] = 0.0
    values[1:4, 2:5, 1] = 5.0
    return values + noise * random.normal(size=values.shape)


def test_similarity_is_the_cosine_and_bytes_span_its_range() -> None:
    values = np.random.default_rng(1).normal(size=(ROWS, COLUMNS, 16))
    grid = _grid(values, "float16")
    found = similarity_to_point(grid, 34.0, 52.0)
    assert found.cell == (5, 3)
    cells = grid.values.astype(np.float64).reshape(-1, 16)
    expected = 1.0 - cdist(cells[5 * COLUMNS + 3][None], cells, "cosine")[0]
    np.testing.assert_allclose(found.cosines.reshape(-1), expected, atol=1e-5)
    data, low, high = found.bytes()
    decoded = low + (high - low) * np.frombuffer(data, np.uint8) / 255.0
    np.testing.assert_allclose(decoded, expected, atol=0.005)


def test_a_click_stands_for_the_connected_cells_that_look_like_it() -> None:
    values = _two_things(0.05)
    values[5, 7] = values[2, 3]  # alike, but somewhere else
    found = similarity_to_point(_grid(values), 3.5 * CELL, 2.5 * CELL)
    assert found.box == (2 * CELL, 1 * CELL, 5 * CELL, 4 * CELL)
    assert found.cosines[5, 7] >= found.threshold


def test_a_click_on_what_fills_the_image_stands_for_its_neighbourhood() -> None:
    found = similarity_to_point(_grid(np.ones((ROWS, COLUMNS, 4))), 1.0, 1.0)
    assert found.box == (0, 0, 2 * CELL, 2 * CELL)


def test_a_box_finds_what_looks_like_its_content() -> None:
    found = similarity_to_box(_grid(_two_things(0.05)), (2 * CELL, CELL, 4 * CELL, 3 * CELL))
    alike = np.zeros((ROWS, COLUMNS), bool)
    alike[1:4, 2:5] = True
    np.testing.assert_array_equal(found.cosines >= 0.9, alike)
    assert not (found.cosines >= found.threshold)[~alike].any()


def test_pixels_outside_of_the_cells_belong_to_the_nearest() -> None:
    grid = _grid(_two_things())
    assert cell_at(grid, -50.0, 1e6) == (ROWS - 1, 0)
    assert similarity_to_box(grid, (-5.0, -5.0, 2.0, 2.0)).cosines.shape == (ROWS, COLUMNS)


def test_clusters_part_the_things_and_keep_their_numbers() -> None:
    clusters = FeatureClusters(2)
    first = clusters.assign(_grid(_two_things(0.02, seed=1)))
    assert len(set(first[1:4, 2:5].ravel())) == 1 and len(set(first.ravel())) == 2
    for seed in range(2, 8):
        np.testing.assert_array_equal(clusters.assign(_grid(_two_things(0.02, seed))), first)


def test_more_clusters_than_cells_are_as_many_as_cells() -> None:
    values = np.random.default_rng(0).normal(size=(ROWS, COLUMNS, 4))
    assert FeatureClusters(1000).assign(_grid(values)).max() <= ROWS * COLUMNS
