"""Sums over rows in blocks, so that no table of all rows against all is ever held."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor

Rows = tuple[int, int]
"""Rows from the first to before the second: a process's share of a loss."""
Part = Callable[..., Tensor]


def sum_of_blocks(
    part: Part, rows: Rows, chunk: int, sliced: Sequence[Tensor], whole: Sequence[Tensor]
) -> Tensor:
    """``part(start, *slices, *whole)`` summed over blocks of ``rows``, at most ``chunk`` at once, 0 for all.

    slices: the block's rows, from start on, of each of ``sliced``. A block's gradient is worked out right
    after its value, so memory grows with one block alone. It can be differentiated once.
    """
    start, stop = rows
    if not chunk or stop - start <= chunk:
        return part(start, *(x[start:stop] for x in sliced), *whole)
    return cast(Tensor, _Blocks.apply(part, rows, chunk, len(sliced), *sliced, *whole))


class _Blocks(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, part: Part, rows: Rows, chunk: int, count: int, *tensors: Tensor) -> Tensor:
        wanted = [index for index, needed in enumerate(ctx.needs_input_grad[4:]) if needed]
        slopes = {index: torch.zeros_like(tensors[index]) for index in wanted}
        total = tensors[0].new_zeros(())
        for start in range(rows[0], rows[1], chunk):
            stop = min(start + chunk, rows[1])
            leaves = [x[start:stop] if i < count else x for i, x in enumerate(tensors)]
            leaves = [x.detach().requires_grad_(i in slopes) for i, x in enumerate(leaves)]
            with torch.enable_grad():
                value = part(start, *leaves)
            total += value.detach()
            if wanted:
                found = torch.autograd.grad(value, [leaves[i] for i in wanted])
                for index, slope in zip(wanted, found, strict=True):
                    place = slopes[index][start:stop] if index < count else slopes[index]
                    place += slope
        ctx.slopes, ctx.count = slopes, len(tensors)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        slopes = [ctx.slopes.get(index) for index in range(ctx.count)]
        return (None, None, None, None, *(None if x is None else x * gradient for x in slopes))
