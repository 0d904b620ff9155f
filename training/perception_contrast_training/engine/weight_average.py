"""Exponential moving average of a run's weights: often better than the last weights, at no extra step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """Moving average of a module's parameters and buffers (Polyak & Juditsky, 1992).

    The momentum of update t is min(momentum, t / (t + 10)), so that the start does not linger.

    Attributes:
        state: The averages by the names of ``module.state_dict()``. Integers are those of the last update.
        updates: How many updates there were.
    """

    def __init__(self, module: nn.Module, momentum: float) -> None:
        """Starts at the module's weights. momentum: in [0, 1), the share of the average that stays."""
        self._momentum = momentum
        self.updates = 0
        self.state = {name: value.detach().clone() for name, value in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Takes the module's weights in, after an optimiser step."""
        self.updates += 1
        momentum = min(self._momentum, self.updates / (self.updates + 10))
        for name, value in module.state_dict().items():
            if value.is_floating_point():
                self.state[name].lerp_(value.detach(), 1 - momentum)
            else:
                self.state[name].copy_(value)

    def restore(self, state: Mapping[str, Tensor], updates: int) -> None:
        """Goes on from averages that were stored after ``updates`` updates."""
        for name, value in self.state.items():
            value.copy_(state[name])
        self.updates = updates

    @contextmanager
    def applied_to(self, module: nn.Module) -> Iterator[None]:
        """Within the context the module has the averaged weights; afterwards its own again, to the bit."""
        own = {name: value.detach().clone() for name, value in module.state_dict().items()}
        module.load_state_dict(self.state)
        try:
            yield
        finally:
            module.load_state_dict(own)
