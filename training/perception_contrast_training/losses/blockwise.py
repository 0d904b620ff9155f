"""Sums over tables of all rows against all, of which only a block of rows is ever held."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Rows = tuple[int, int]
"""Rows from the first to before the second: a process's share of a loss."""
Negatives = Tensor | Callable[[int, int], Tensor]
"""(n, n) bool, symmetric: true where row and column may be negatives of each other. As a function it gives
the rows from its first to before its second argument; then the whole table is never held."""
Judge = Callable[[int, Tensor], Tensor]
"""Of the first row's number and a block of the table (b, m): its loss. The block becomes the
gradient of it."""


def sum_of_blocks(
    judge: Judge,
    rows: Rows,
    chunk: int,
    some: Tensor,
    every: Tensor,
    scale: Tensor,
    bias: Tensor | None = None,
) -> Tensor:
    """``judge`` summed over blocks of at most ``chunk`` of the ``rows`` of scale * some @ every.T + bias.

    some (n, c) and every (m, c) may be one tensor. Gradients are worked out beside the values, so that one
    block is all that is held of the table, in the backward pass too; they have no gradients of their own.
    """
    own = None if some is every else some
    return cast(Tensor, _Blocks.apply(judge, rows, chunk, own, every, scale, bias))


def cross_entropy_in_place(table: Tensor, target: Tensor) -> Tensor:
    """Sum over rows of table (b, m) of the cross-entropy with target (b,); the table becomes its gradient."""
    rows = torch.arange(len(table), device=table.device)
    wanted = table[rows, target]
    most = table.amax(dim=1, keepdim=True)
    weights = table.sub_(most).exp_()
    total = weights.sum(dim=1, keepdim=True)
    loss = (total.log() + most).sum() - wanted.sum()
    weights.div_(total)[rows, target] -= 1.0
    return loss


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
        ctx: Any, judge: Judge, rows: Rows, chunk: int, some: Tensor | None, every: Tensor, scale: Tensor,
        bias: Tensor | None,
    ) -> Tensor:  # fmt: skip
        """some: None where it is ``every`` itself, whose gradient is then held once."""
        learns = any(ctx.needs_input_grad)
        inputs = (some, every, scale, bias)
        slopes = [None if x is None or not learns else torch.zeros_like(x) for x in inputs]
        own = every if some is None else some
        buffer = every.new_empty(min(chunk, rows[1] - rows[0]), len(every))
        total = every.new_zeros(())
        for start in range(rows[0], rows[1], chunk):
            stop = min(start + chunk, rows[1])
            block = scale * own[start:stop]
            table = torch.mm(block, every.T, out=buffer[: stop - start])
            if bias is not None:
                table.add_(bias)
            total += judge(start, table)
            if learns:
                _add_slopes(slopes, table, block, own[start:stop], every, scale, start)
        ctx.save_for_backward(*slopes)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        needed = ctx.needs_input_grad[3:]
        slopes = [
            slope * gradient if slope is not None and wanted else None
            for slope, wanted in zip(ctx.saved_tensors, needed, strict=True)
        ]
        return (None, None, None, *slopes)


def _add_slopes(
    slopes: list[Tensor | None], table: Tensor, block: Tensor, own: Tensor, every: Tensor, scale: Tensor,
    start: int,
) -> None:  # fmt: skip
    """slopes: of some, every, scale, bias. table: the gradient of a block; block: its rows times scale."""
    of_some, of_every, of_scale, of_bias = slopes
    pulled = table @ every
    assert of_every is not None and of_scale is not None
    of_every.addmm_(table.T, block)
    (of_every if of_some is None else of_some)[start : start + len(own)] += scale * pulled
    of_scale += (pulled * own).sum()
    if of_bias is not None:
        of_bias += table.sum()
