"""The best score of each cell."""

from __future__ import annotations

import numpy as np

from perception_contrast.mapping.grid.grid_snapshot import GridSnapshot
from perception_contrast.mapping.grid.semantic_grid import semantic_cells

GRID = GridSnapshot(0.5, (-1.0, 2.0), np.zeros((4, 6), np.int8), np.zeros((4, 6, 2), bool), 0.0, 0.1)


def test_each_cell_has_the_best_score_over_it() -> None:
    rng = np.random.default_rng(3)
    positions = rng.uniform([-2, 1, 0], [3, 5, 2], (500, 3)).astype(np.float32)
    scores = rng.uniform(0, 1, 500).astype(np.float32)
    cells = semantic_cells(GRID, positions, scores)
    for row in range(4):
        for column in range(6):
            low = np.array([-1 + 0.5 * column, 2 + 0.5 * row])
            over = ((positions[:, :2] >= low) & (positions[:, :2] < low + 0.5)).all(axis=1)
            expected = round(100 * float(scores[over].max())) if over.any() else -1
            assert abs(int(cells[row, column]) - expected) <= 1
            assert (cells[row, column] == -1) == (not over.any())


def test_scores_are_stretched_over_the_span_and_held_there() -> None:
    positions = np.array([[-0.9, 2.1, 0], [-0.4, 2.1, 0], [0.1, 2.1, 0], [0.6, 2.1, 0]])
    scores = np.array([-0.5, 0.2, 0.9, np.nan], np.float32)
    cells = semantic_cells(GRID, positions, scores, (0.1, 0.3))
    assert cells[0, :4].tolist() == [0, 50, 100, -1]


def test_nothing_known_is_unknown_everywhere() -> None:
    cells = semantic_cells(GRID, np.zeros((0, 3), np.float32), np.zeros(0, np.float32))
    assert cells.shape == (4, 6) and (cells == -1).all() and cells.dtype == np.int8
