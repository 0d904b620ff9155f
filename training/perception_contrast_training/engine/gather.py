"""What processes tell each other, with gradients that are right once they are averaged over processes.

Every process holds the same number of rows. On one process each of these gives back what it got.
"""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor

Rows = tuple[int, int]


def processes() -> int:
    """How many work together; 1 without ``torch.distributed``."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def gathered(x: Tensor) -> Tensor:
    """(n, ...) of each process to (processes * n, ...) in the order of their ranks, the same on all.

    The gradient is the sum of what all processes have for these rows. A loss of all rows that every process
    works out in full thus has ``processes`` times its gradient on each, and the mean over processes of
    the parameters' gradients is that of the loss on one process.
    """
    if processes() == 1:
        return x
    return cast(Tensor, _Gather.apply(x))


def own_rows(rows: int) -> Rows:
    """This process's share (first, before which) of ``rows`` gathered rows: of a loss that is worked out
    together."""
    if processes() == 1:
        return 0, rows
    share, rank = rows // processes(), dist.get_rank()
    return rank * share, (rank + 1) * share


def total_loss(part: Tensor) -> Tensor:
    """This process's part of a loss to the whole of it, with a gradient that averages right.

    The value is the sum over processes. The gradient is that of the own part times ``processes``, so
    that the mean over processes is that of the sum.
    """
    if processes() == 1:
        return part
    return cast(Tensor, _TotalLoss.apply(part))


def summed(x: Tensor) -> Tensor:
    """Sum over processes; its gradient is the sum of what they have for it."""
    if processes() == 1:
        return x
    return cast(Tensor, _Sum.apply(x))


def averaged(x: Tensor) -> Tensor:
    """Mean over processes, without gradient."""
    return x.detach() if processes() == 1 else _reduced(x, dist.ReduceOp.SUM) / processes()


def largest(x: Tensor) -> Tensor:
    """Maximum over processes, without gradient."""
    return x.detach() if processes() == 1 else _reduced(x, dist.ReduceOp.MAX)


def _reduced(x: Tensor, operation: Any) -> Tensor:
    result = x.detach().clone(memory_format=torch.contiguous_format)
    dist.all_reduce(result, op=operation)
    return result


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.rows = len(x)
        parts = [torch.empty_like(x, memory_format=torch.contiguous_format) for _ in range(processes())]
        dist.all_gather(parts, x.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        first = dist.get_rank() * ctx.rows
        return _reduced(gradient, dist.ReduceOp.SUM)[first : first + ctx.rows]


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return _reduced(x, dist.ReduceOp.SUM)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _reduced(gradient, dist.ReduceOp.SUM)


class _TotalLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, part: Tensor) -> Tensor:
        return _reduced(part, dist.ReduceOp.SUM)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient * processes()
