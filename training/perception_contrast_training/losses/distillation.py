"""Losses of a student that repeats a teacher's features (Ranzinger et al., AM-RADIO, CVPR 2024)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from perception_contrast_training.losses.full_precision import exact


@exact
def squared_error(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean over all numbers; of standardised vectors 1 for a student that always says the mean."""
    return F.mse_loss(predicted, target)


@exact
def angular_error(predicted: Tensor, target: Tensor) -> Tensor:
    """One minus the cosine of vectors (..., c), the mean over them: 0 for the same directions."""
    cosine: Tensor = F.cosine_similarity(predicted, target, dim=-1, eps=1e-6)
    return 1.0 - cosine.mean()


@exact
def on_cells(grid: Tensor, rows: int, columns: int) -> Tensor:
    """A grid (n, h, w, c) at the cells of another grid of the same image, (n, rows, columns, c).

    Cells' centres stay where they are in the image (``align_corners`` off); where cells become larger, all
    that lie in one count (antialiasing).
    """
    if tuple(grid.shape[1:3]) == (rows, columns):
        return grid
    fewer = rows < grid.shape[1] or columns < grid.shape[2]
    moved = F.interpolate(
        grid.permute(0, 3, 1, 2), (rows, columns), mode="bilinear", align_corners=False, antialias=fewer
    )
    return torch.movedim(moved, 1, -1)
