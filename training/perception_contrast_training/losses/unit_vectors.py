"""Vectors of length one."""

from __future__ import annotations

import torch
from torch import Tensor

NO_LENGTH = 1e-6


def unit(x: Tensor) -> Tensor:
    """Rows of (n, c) over their length. One without length stays zero and gets no gradient.

    Blank or equal frames behind a batch norm give such rows; the length's inverse would be their gradient.
    """
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    there = length > NO_LENGTH
    return x * torch.where(there, 1.0 / torch.where(there, length, 1.0), 0.0)


def as_tensor(value: Tensor | float, like: Tensor) -> Tensor:
    return value if isinstance(value, Tensor) else like.new_tensor(value)


def require_same(what: str, first: Tensor, second: Tensor) -> None:
    """Raises ValueError unless both are (n, c), of one shape, and not empty."""
    if first.dim() != 2 or first.shape != second.shape or not len(first):
        shapes = f"{tuple(first.shape)} and {tuple(second.shape)}"
        raise ValueError(f"{what} are {shapes}; row belongs to row: give both as (n, c), n at least 1")
