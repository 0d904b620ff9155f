"""Steps that fit a small head on frozen towers: its rate, what is left out, and the average that is kept."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.config.alignment_recipe import HeadOptimisation
from perception_contrast_training.engine.schedules import warmed_up

MOST_SKIPPED = 20  # steps in a row without a finite gradient, after which training ends


def learning_rate(step: int, settings: HeadOptimisation) -> float:
    """Linear warm-up, then half a cosine down to a hundredth."""
    peak = settings.learning_rate
    return warmed_up(peak, peak / 100, step, settings.steps, settings.warm_up)


class Averaged:
    """Exponential moving average of weights: the model that is kept."""

    def __init__(self, head: nn.Module, momentum: float) -> None:
        self._momentum = momentum
        self._steps = 0
        self.state = {name: value.detach().clone() for name, value in head.state_dict().items()}

    def update(self, head: nn.Module) -> None:
        self._steps += 1
        # Short memory at first, so that the start does not linger.
        momentum = min(self._momentum, self._steps / (self._steps + 10))
        for name, value in head.state_dict().items():
            self.state[name].lerp_(value.detach(), 1 - momentum)


class HeadSteps:
    """AdamW on the parameters of a head that ask for a gradient.

    besides: vectors that are fitted with the head and are no part of it. averaged: what to keep.
    """

    def __init__(
        self, head: nn.Module, settings: HeadOptimisation, besides: Sequence[nn.Parameter] = ()
    ) -> None:
        fitted = [p for p in head.parameters() if p.requires_grad]
        decayed = [p for p in fitted if p.ndim > 1]
        plain = [*(p for p in fitted if p.ndim <= 1), *besides]
        groups = [
            {"params": decayed, "weight_decay": settings.weight_decay},
            {"params": plain, "weight_decay": 0.0},
        ]
        self._head, self._settings = head, settings
        self._optimiser = torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.98))
        self.averaged = Averaged(head, settings.average)
        self._skipped = 0

    def step(self, loss: Tensor, log_scale: Tensor, number: int) -> bool:
        """One update; log_scale: of the head's logits, held within [1, 100].

        Leaves the head as it is, and says False, where loss or gradient is not finite. Raises
        PerceptionError if that does not stop.
        """
        for group in self._optimiser.param_groups:
            group["lr"] = learning_rate(number, self._settings)
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self._head.parameters(), self._settings.clip)
        if not math.isfinite(float(loss.detach()) + float(norm)):
            self._skipped += 1
            if self._skipped >= MOST_SKIPPED:
                raise PerceptionError(
                    f"{MOST_SKIPPED} steps on end were not finite (step {number}); "
                    "lower optimisation.learning_rate. The last written head is kept"
                )
            return False
        self._skipped = 0
        self._optimiser.step()
        with torch.no_grad():
            log_scale.clamp_(0.0, math.log(100.0))
        self.averaged.update(self._head)
        return True
