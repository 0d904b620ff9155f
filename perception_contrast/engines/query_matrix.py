"""Query vectors as one padded matrix on the device, so that shapes rarely change with the vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MIN_ROWS, GROWTH = 16, 4


@dataclass(frozen=True)
class QueryMatrix:
    """Unit vectors in groups; a cell's cosine with a group is that with the group's nearest vector.

    n is 16, 64, 256, 1024, ..., so that a CUDA graph outlives a change of the vocabulary.

    Attributes:
        vectors: (n, c) float32, padded with zero rows.
        group_of: (n,) int64, the group of each row.
        groups: number of groups.
    """

    vectors: Tensor
    group_of: Tensor
    groups: int

    @classmethod
    def from_groups(cls, groups: Sequence[NDArray[np.float32]], device: torch.device | str) -> QueryMatrix:
        """Pads and uploads.

        Args:
            groups: (k, c) each; the cosine with an empty group is -1.
            device: where the matrix is kept.

        Raises:
            ValueError: all groups are empty.
        """
        counts = [len(group) for group in groups]
        if not sum(counts):
            raise ValueError("there is nothing to compare with; give at least one vector")
        size = padded_size(max(sum(counts), len(groups) + 1))
        stacked = np.concatenate([group for group in groups if len(group)]).astype(np.float32)
        vectors = np.zeros((size, stacked.shape[1]), np.float32)
        vectors[: len(stacked)] = stacked
        # Padding belongs to the last group, which nobody reads.
        group_of = np.full(size, size - 1, np.int64)
        group_of[: len(stacked)] = np.repeat(np.arange(len(groups)), counts)
        return cls(torch.from_numpy(vectors).to(device), torch.from_numpy(group_of).to(device), len(groups))


def padded_size(rows: int) -> int:
    """The smallest of 16, 64, 256, ... that holds so many rows."""
    size = MIN_ROWS
    while size < rows:
        size *= GROWTH
    return size


def max_cosines(cells: Tensor, vectors: Tensor, group_of: Tensor) -> Tensor:
    """The cosine of each cell with the nearest vector of each group.

    Args:
        cells: (B, h, w, c), unit vectors.
        vectors: (n, c), as of ``QueryMatrix``.
        group_of: (n,), as of ``QueryMatrix``.

    Returns:
        (B, n, h, w) float32, of which the first ``groups`` count; -1 for an empty group.
    """
    batch, rows, columns, _ = cells.shape
    cosines = vectors @ cells.float().flatten(1, 2).transpose(1, 2)
    best = torch.full_like(cosines, -1.0)
    best.scatter_reduce_(1, group_of[None, :, None].expand_as(cosines), cosines, "amax")
    return best.view(batch, -1, rows, columns)
