"""The one place where an optimiser is made: AdamW, SGD or LARS over groups of parameters."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from perception_contrast_training.config.run_settings import Optimisation
from perception_contrast_training.methods.base import Group


def make_optimiser(groups: Sequence[Group], settings: Optimisation) -> torch.optim.Optimizer:
    """The optimiser of a recipe.

    Args:
        groups: Parameters with their factors on learning rate and weight decay.
        settings: ``optimisation`` of the recipe.

    Returns:
        An optimiser with one parameter group for each of ``groups``, in their order. Learning rate and
        weight decay are 0: the trainer sets them before each step.
    """
    options = [{"params": list(group.parameters), "lr": 0.0, "weight_decay": 0.0} for group in groups]
    if settings.optimiser == "sgd":
        return torch.optim.SGD(options, lr=0.0, momentum=settings.momentum)
    if settings.optimiser == "lars":
        from timm.optim import Lars

        made: torch.optim.Optimizer = Lars(options, lr=0.0, momentum=settings.momentum, weight_decay=0.0)
        return made
    return torch.optim.AdamW(options, lr=0.0, betas=settings.betas)
