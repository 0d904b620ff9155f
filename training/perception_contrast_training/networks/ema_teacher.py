"""A network's slowly moving teacher."""

from __future__ import annotations

import copy
import math
from typing import TypeVar

import torch
from timm.layers import DropPath
from torch import nn

Net = TypeVar("Net", bound=nn.Module)


def make_ema_teacher(network: Net) -> Net:
    """A copy that takes no gradient and drops nothing; the first step of a mean that moves."""
    teacher = copy.deepcopy(network).requires_grad_(False)
    for module in teacher.modules():
        if isinstance(module, DropPath):
            module.drop_prob = 0.0
        elif isinstance(module, nn.Dropout):
            module.p = 0.0
    return teacher


@torch.no_grad()
def update_ema(teacher: nn.Module, network: nn.Module, momentum: float) -> None:
    """teacher = momentum * teacher + (1 - momentum) * network, of parameters alone.

    Running statistics of normalisation are the teacher's own: it sees its images itself. Parameters that
    never moved stay as they are to the bit.
    """
    torch._foreach_lerp_(list(teacher.parameters()), list(network.parameters()), 1.0 - momentum)


def cosine_schedule(start: float, share: float, end: float = 1.0) -> float:
    """Momentum on its cosine from ``start`` to ``end``; share: steps done of all (BYOL, DINO: t / T)."""
    return end - (end - start) * (math.cos(math.pi * share) + 1) / 2


def linspace_warmup(start: float, end: float, index: int, count: int) -> float:
    """``numpy.linspace(start, end, count)[index]``, and ``end`` after those: a count of 1 gives ``start``."""
    if index >= count:
        return end
    return start if count == 1 else start + (end - start) * index / (count - 1)


def linear_warmup(start: float, end: float, at: float, over: float) -> float:
    """Linear from ``start`` at 0 to ``end`` at ``over``, and that from there on."""
    return end if at >= over or over <= 0 else start + (end - start) * at / over
