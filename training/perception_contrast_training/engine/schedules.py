"""How a value moves over the steps of a run."""

from __future__ import annotations

import math
from typing import Literal

Scaling = Literal["fixed", "linear", "root"]


def cosine(start: float, end: float, share: float) -> float:
    """From ``start`` at share 0 to ``end`` at share 1 along half a cosine; stays there beyond."""
    return end + 0.5 * (start - end) * (1 + math.cos(math.pi * min(max(share, 0.0), 1.0)))


def warmed_up(peak: float, end: float, step: int, steps: int, warm_up: int) -> float:
    """Linear from ``peak / warm_up`` at the first step, then ``cosine`` (Loshchilov & Hutter, 2017)."""
    if step < warm_up:
        return peak * (step + 1) / warm_up
    return cosine(peak, end, (step - warm_up) / max(1, steps - warm_up))


def scaled(rate: float, batch: int, rule: Scaling, reference: int) -> float:
    """A learning rate that was found at batches of ``reference``, for batches of ``batch``.

    linear: as SimCLR, BYOL, DINO and MAE do it (Goyal et al., 2017); root: as DINOv2 does it.
    """
    if rule == "fixed":
        return rate
    factor = batch / reference
    return rate * (factor if rule == "linear" else math.sqrt(factor))
