"""Losses of a student that repeats a teacher's features (Ranzinger et al., AM-RADIO, CVPR 2024)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from perception_contrast_training.losses.full_precision import exact


@exact
def squared_error(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean squared error of features.

    Args:
        predicted: (..., c) features of the student.
        target: (..., c) features of the teacher. If they are standardised, a student that always predicts
            their mean has a loss of 1.

    Returns:
        () mean over all numbers.
    """
    return F.mse_loss(predicted, target)


@exact
def angular_error(predicted: Tensor, target: Tensor) -> Tensor:
    """One minus the cosine of features.

    Args:
        predicted: (..., c) features of the student.
        target: (..., c) features of the teacher.

    Returns:
        () mean over vectors; 0 for the same directions.
    """
    cosine: Tensor = F.cosine_similarity(predicted, target, dim=-1, eps=1e-6)
    return 1.0 - cosine.mean()


@exact
def on_cells(grid: Tensor, rows: int, columns: int) -> Tensor:
    """Resamples a grid of features to the cells of another grid of the same image.

    The centres of cells keep their place in the image (``align_corners`` off). If cells become larger, all
    that lie in one count (antialiasing).

    Args:
        grid: (n, h, w, c).
        rows: Rows of the other grid.
        columns: Columns of the other grid.

    Returns:
        (n, rows, columns, c).
    """
    if tuple(grid.shape[1:3]) == (rows, columns):
        return grid
    fewer = rows < grid.shape[1] or columns < grid.shape[2]
    moved = F.interpolate(
        grid.permute(0, 3, 1, 2), (rows, columns), mode="bilinear", align_corners=False, antialias=fewer
    )
    return torch.movedim(moved, 1, -1)
