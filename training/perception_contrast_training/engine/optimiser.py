"""The one place where an optimiser is made: AdamW, SGD or LARS over groups of parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from perception_contrast.core.errors import RecipeError
from perception_contrast_training.config.run_settings import Optimisation
from perception_contrast_training.methods.base import Group
from perception_contrast_training.networks.backbones import learns_tokens

LARS_ON_A_VIT = (
    "optimisation.optimiser 'lars' makes all features of a ViT one: it moves tokens, positions, biases and "
    "norms by plain SGD at its own high rate. Set optimisation.optimiser: adamw and leave learning_rate and "
    "weight_decay out, which are then as published for ViTs; or choose a ResNet"
)


def require_optimiser_fits(optimiser: str, network: nn.Module) -> None:
    """Refuses LARS for a network that learns tokens or positions.

    Args:
        optimiser: As ``optimisation.optimiser`` of a recipe names it.
        network: The backbone; what does not learn is not looked at.

    Raises:
        RecipeError: They do not fit.
    """
    if optimiser == "lars" and learns_tokens(network):
        raise RecipeError(LARS_ON_A_VIT)


def make_optimiser(groups: Sequence[Group], settings: Optimisation) -> torch.optim.Optimizer:
    """The optimiser of a recipe.

    Args:
        groups: Parameters with their factors on learning rate and weight decay.
        settings: ``optimisation`` of the recipe.

    Returns:
        An optimiser with one parameter group for each of ``groups``, in their order. Learning rate and
        weight decay are 0: the trainer sets them before each step.
    """
    options: list[dict[str, Any]] = [
        {"params": list(group.parameters), "lr": 0.0, "weight_decay": 0.0} for group in groups
    ]
    fused = _fused(groups, settings)
    # Kernels over many weights take no mixture of whole ones and shards.
    parted = any(hasattr(p, "full_tensor") for group in groups for p in group.parameters)
    how: dict[str, Any] = {"foreach": False} if parted else {"fused": fused}
    if settings.optimiser == "sgd":
        return torch.optim.SGD(options, lr=0.0, momentum=settings.momentum, **how)
    if settings.optimiser == "lars":
        from timm.optim import Lars

        # As published, what does not decay (biases, norms) is not scaled; the rest is, whatever it decays by.
        for group, option in zip(groups, options, strict=True):
            option["always_adapt"] = bool(group.decay)
        made: torch.optim.Optimizer = Lars(options, lr=0.0, momentum=settings.momentum, weight_decay=0.0)
        return made
    return torch.optim.AdamW(options, lr=0.0, betas=settings.betas, **how)


def _fused(groups: Sequence[Group], settings: Optimisation) -> bool | None:
    """None leaves it to PyTorch, which then takes the same steps as ever on a CPU."""
    if settings.fused == "auto":
        on_gpu = any(p.device.type == "cuda" for group in groups for p in group.parameters)
        return True if on_gpu else None
    return True if settings.fused == "always" else None
