"""Losses of distillation against NumPy and SciPy."""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import map_coordinates

from perception_contrast_training.losses.distillation import angular_error, on_cells, squared_error


def test_the_errors_are_those_of_plain_numpy_in_value_and_gradient() -> None:
    chance = torch.Generator().manual_seed(0)
    predicted = torch.randn(3, 5, 7, generator=chance, dtype=torch.float64, requires_grad=True)
    target = torch.randn(3, 5, 7, generator=chance, dtype=torch.float64)
    p, t = predicted.detach().numpy(), target.numpy()
    squared, angular = squared_error(predicted, target), angular_error(predicted, target)
    np.testing.assert_allclose(squared.item(), ((p - t) ** 2).mean(), rtol=1e-14)
    lengths = np.linalg.norm(p, axis=-1, keepdims=True), np.linalg.norm(t, axis=-1, keepdims=True)
    cosine = (p * t).sum(-1, keepdims=True) / (lengths[0] * lengths[1])
    np.testing.assert_allclose(angular.item(), 1 - cosine.mean(), rtol=1e-14)
    (squared + angular).backward()
    wanted = 2 * (p - t) / p.size - (t / lengths[1] - cosine * p / lengths[0]) / lengths[0] / cosine.size
    assert predicted.grad is not None
    np.testing.assert_allclose(predicted.grad.numpy(), wanted, rtol=1e-12, atol=1e-15)


def test_a_grid_is_read_at_the_centres_of_the_other_grids_cells() -> None:
    grid = torch.randn(1, 5, 7, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    moved = on_cells(grid, 11, 16).numpy()[0]
    # Centres of 11 x 16 cells, in cells of the 5 x 7 ones, whose own centres are whole numbers there.
    rows = (np.arange(11) + 0.5) / 11 * 5 - 0.5
    columns = (np.arange(16) + 0.5) / 16 * 7 - 0.5
    places = np.meshgrid(rows, columns, indexing="ij")
    for channel in range(2):
        wanted = map_coordinates(grid[0, ..., channel].numpy(), places, order=1, mode="nearest")
        np.testing.assert_allclose(moved[..., channel], wanted, atol=1e-12)


def test_a_finer_grid_is_averaged_not_sampled() -> None:
    checks = torch.zeros(1, 16, 16, 1)
    checks[:, ::2, ::2] = checks[:, 1::2, 1::2] = 1.0
    assert on_cells(checks, 4, 4).sub(0.5).abs().max() < 0.05
