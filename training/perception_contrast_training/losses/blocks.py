"""Sums over rows in blocks, so that no table of all rows against all is ever held."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.utils.checkpoint import checkpoint

Rows = tuple[int, int]
"""Rows from the first to before the second: a process's share of a loss."""


def sum_of_blocks(part: Callable[[int, int], Tensor], rows: Rows, chunk: int) -> Tensor:
    """part(start, stop) summed over ``rows``, at most ``chunk`` of them at once, 0 for all.

    Blocks are computed again in the backward pass, so memory grows with the block alone there too.
    """
    start, stop = rows
    if not chunk or stop - start <= chunk:
        return part(start, stop)
    total = checkpointed(part, start, start + chunk)
    for first in range(start + chunk, stop, chunk):
        total = total + checkpointed(part, first, min(first + chunk, stop))
    return total


def checkpointed(part: Callable[[int, int], Tensor], start: int, stop: int) -> Tensor:
    result: Tensor = checkpoint(part, start, stop, use_reentrant=False, preserve_rng_state=False)
    return result
