"""What all cells of a grid are compared with, kept on the device in shapes that stay as words come and go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

LEAST_ROWS, GROWTH = 16, 4


@dataclass(frozen=True)
class QueryRows:
    """Unit vectors in groups; a cell is as near to a group as to the nearest of its vectors.

    vectors: (n, c) float32, zero rows at the end. owners: (n,) int64, the group of each row. groups: how
    many there are. n is 16, 64, 256, 1024, ..., so a recording outlives a change of the vocabulary.
    """

    vectors: Tensor
    owners: Tensor
    groups: int

    @classmethod
    def of(cls, groups: Sequence[NDArray[np.float32]], device: torch.device | str) -> QueryRows:
        """groups: (k, c) each; one without rows is -1 away from every cell. Raises ValueError for none."""
        counts = [len(group) for group in groups]
        if not sum(counts):
            raise ValueError("there is nothing to compare with; give at least one vector")
        size = bucket(max(sum(counts), len(groups) + 1))
        stacked = np.concatenate([group for group in groups if len(group)]).astype(np.float32)
        vectors = np.zeros((size, stacked.shape[1]), np.float32)
        vectors[: len(stacked)] = stacked
        # Rows that only pad belong to the last group, which nobody reads.
        owners = np.full(size, size - 1, np.int64)
        owners[: len(stacked)] = np.repeat(np.arange(len(groups)), counts)
        return cls(torch.from_numpy(vectors).to(device), torch.from_numpy(owners).to(device), len(groups))


def bucket(rows: int) -> int:
    """The least size of 16, 64, 256, ... that holds so many rows."""
    size = LEAST_ROWS
    while size < rows:
        size *= GROWTH
    return size


def best_cosines(cells: Tensor, vectors: Tensor, owners: Tensor) -> Tensor:
    """Cosine of each cell with the nearest vector of each group: (B, n, h, w) float32, -1 without vectors.

    cells: (B, h, w, c), unit. vectors (n, c) and owners (n,) as of ``QueryRows``; fewer groups than n.
    """
    batch, rows, columns, _ = cells.shape
    cosines = vectors @ cells.float().flatten(1, 2).transpose(1, 2)
    best = torch.full_like(cosines, -1.0)
    best.scatter_reduce_(1, owners[None, :, None].expand_as(cosines), cosines, "amax")
    return best.view(batch, -1, rows, columns)
