"""Vectors of length one."""

from __future__ import annotations

import torch
from torch import Tensor

NO_LENGTH = 1e-6


def unit(x: Tensor) -> Tensor:
    """Normalises rows to length 1. A row without length stays zero and gets no gradient.

    Blank or equal frames give such rows after a batch norm; their gradient would be the length's inverse.

    Args:
        x: (n, c).

    Returns:
        (n, c).
    """
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    there = length > NO_LENGTH
    return x * torch.where(there, 1.0 / torch.where(there, length, 1.0), 0.0)


def as_tensor(value: Tensor | float, like: Tensor) -> Tensor:
    """Makes a tensor of a number, with the type and device of another tensor."""
    return value if isinstance(value, Tensor) else like.new_tensor(value)


def require_same(what: str, first: Tensor, second: Tensor) -> None:
    """Checks that two tensors are (n, c), of one shape and not empty.

    Args:
        what: Name of the two in the error.
        first: One tensor.
        second: The other tensor.

    Raises:
        ValueError: They are not.
    """
    if first.dim() != 2 or first.shape != second.shape or not len(first):
        shapes = f"{tuple(first.shape)} and {tuple(second.shape)}"
        raise ValueError(f"{what} are {shapes}; row belongs to row: give both as (n, c), n at least 1")
