"""Positions that are not learned: sines and cosines of row and column (Vaswani et al. 2017; MAE)."""

from __future__ import annotations

import torch
from torch import Tensor


def sin_cos_positions(dim: int, rows: int, columns: int) -> Tensor:
    """(rows * columns, dim) float32: half of the channels tell the column, then half the row.

    Raises ValueError where dim is no multiple of four.
    """
    if dim % 4:
        raise ValueError(f"sines and cosines of rows and columns need a multiple of 4 channels, not {dim}")
    place_y, place_x = torch.meshgrid(
        torch.arange(rows, dtype=torch.float64), torch.arange(columns, dtype=torch.float64), indexing="ij"
    )
    return torch.cat(
        [_sin_cos(place_x.flatten(), dim // 2), _sin_cos(place_y.flatten(), dim // 2)], dim=1
    ).float()


def _sin_cos(place: Tensor, dim: int) -> Tensor:
    frequency = 10000.0 ** (-torch.arange(dim // 2, dtype=torch.float64) / (dim / 2))
    angle = place[:, None] * frequency
    return torch.cat([angle.sin(), angle.cos()], dim=1)
