"""The running mean of what teachers say, which is taken from it so that no prototype takes all."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from perception_contrast_training.engine.gather import summed


class Centre(nn.Module):
    """center = momentum * center + (1 - momentum) * mean of the batch, over processes (DINO, equation 4)."""

    center: Tensor
    total: Tensor
    count: Tensor

    def __init__(self, prototypes: int, momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("center", torch.zeros(prototypes))
        # What this step has seen so far; nothing between steps, so no part of the state.
        self.register_buffer("total", torch.zeros(prototypes), persistent=False)
        self.register_buffer("count", torch.zeros(()), persistent=False)

    @torch.no_grad()
    def see(self, logits: Tensor) -> None:
        """logits: (n, k) of the teacher. A batch that is not finite is left out: it is skipped anyway."""
        part = logits.sum(dim=0).to(self.total.dtype)
        good = torch.isfinite(part).all()
        self.total += torch.where(good, part, torch.zeros_like(part))
        self.count += torch.where(good, float(len(logits)), 0.0)

    @torch.no_grad()
    def move(self) -> None:
        """After the step. Nothing moves where nothing was seen."""
        total, count = summed(self.total), summed(self.count)
        mean = torch.where(count > 0, total / count.clamp_min(1.0), self.center)
        self.center.lerp_(mean, 1.0 - self.momentum)
        self.total.zero_()
        self.count.zero_()
