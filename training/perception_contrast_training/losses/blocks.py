"""Sums over rows in blocks, so that no table of all rows against all is ever held."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Rows = tuple[int, int]
"""Rows from the first to before the second: a process's share of a loss."""
Part = Callable[..., Tensor]
Negatives = Tensor | Callable[[int, int], Tensor]
"""(n, n) bool, symmetric: true where row and column may be negatives of each other. As a function it gives
the rows from its first to before its second argument; then the whole table is never held."""


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
    # A tensor that is both sliced and whole is held, and has its gradient, once.
    tensors = list({id(x): x for x in (*sliced, *whole)}.values())
    place = {id(x): index for index, x in enumerate(tensors)}
    takes = [(place[id(x)], True) for x in sliced] + [(place[id(x)], False) for x in whole]
    return cast(Tensor, _Blocks.apply(part, rows, chunk, takes, *tensors))


def left_out(negatives: Negatives, start: int, rows: int, *, match: int = 0, oneself: bool = False) -> Tensor:
    """(rows, n) bool, a new table: which comparisons of the rows from ``start`` on do not count.

    match: what row i belongs to, which counts always, is column i + match, counted round. oneself: whether
    column i of row i is the row itself, which never counts.
    """
    stop = start + rows
    allowed = negatives[start:stop] if isinstance(negatives, Tensor) else negatives(start, stop)
    found = ~allowed
    if oneself:
        found.diagonal(start).fill_(True)
    row = torch.arange(rows, device=found.device)
    found[row, (row + start + match) % found.shape[1]] = False
    return found


class _Blocks(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, part: Part, rows: Rows, chunk: int, takes: list[tuple[int, bool]], *tensors: Tensor
    ) -> Tensor:
        """takes: of each argument of ``part``, which tensor it is, and whether it is sliced."""
        slopes = {i: torch.zeros_like(x) for i, x in enumerate(tensors) if ctx.needs_input_grad[4 + i]}
        total = tensors[0].new_zeros(())
        for start in range(rows[0], rows[1], chunk):
            stop = min(start + chunk, rows[1])
            leaves = [
                (tensors[i][start:stop] if cut else tensors[i]).detach().requires_grad_(i in slopes)
                for i, cut in takes
            ]
            with torch.enable_grad():
                value = part(start, *leaves)
            total += value.detach()
            wanted = [(leaf, *take) for leaf, take in zip(leaves, takes, strict=True) if take[0] in slopes]
            found = torch.autograd.grad(value, [leaf for leaf, _, _ in wanted]) if wanted else ()
            for slope, (_, i, cut) in zip(found, wanted, strict=True):
                (slopes[i][start:stop] if cut else slopes[i]).add_(slope)
        ctx.slopes, ctx.count = slopes, len(tensors)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        slopes = [ctx.slopes.get(i) for i in range(ctx.count)]
        return (None, None, None, None, *(None if x is None else x * gradient for x in slopes))
