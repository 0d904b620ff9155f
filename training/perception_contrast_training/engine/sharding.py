"""Large encoders in shards: each process keeps a part of every weight, gradient and moment (FSDP2).

A ViT's blocks are gathered one after the other when they compute, and let go again. Heads and other networks
stay whole on every process.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from perception_contrast.core.errors import RecipeError
from perception_contrast_training.config.run_settings import Optimisation
from perception_contrast_training.engine.distributed import Processes
from perception_contrast_training.networks.backbones import Backbone

LARGE = 1_000_000_000  # weights of an encoder, from which "auto" parts it on GPUs


def shard(module: nn.Module, settings: Optimisation, processes: Processes) -> bool:
    """Parts the ViTs of a method among the processes, in place.

    Args:
        module: The method, the same on every process.
        settings: Of the recipe.
        processes: Those that train together.

    Returns:
        Whether anything is in shards now.

    Raises:
        RecipeError: It is asked for, and the method has no ViT, or the settings do not fit.
    """
    vits = [part for part in module.modules() if isinstance(part, Backbone) and part.is_vit]
    if processes.count == 1 or settings.shard == "never":
        return False
    if settings.shard == "auto":
        large = max((sum(p.numel() for p in vit.parameters()) for vit in vits), default=0) >= LARGE
        if not large or processes.device.type != "cuda":
            return False
    if not vits:
        raise RecipeError("'optimisation.shard' parts the blocks of ViTs; this method has none; use never")
    if settings.precision == "float16" or settings.optimiser == "lars":
        raise RecipeError("'optimisation.shard' goes with float32 or bfloat16, and with adamw or sgd")
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(processes.device.type, (processes.count,))
    for vit in vits:
        for block in vit.network.blocks:
            fully_shard(block, mesh=mesh)
        # Let go at once: teachers, which have no backward pass, follow in shards.
        fully_shard(vit, mesh=mesh, reshard_after_forward=True)
    return True


def is_sharded(value: Any) -> bool:
    return type(value).__name__ == "DTensor"


def whole(value: Tensor) -> Tensor:
    """A tensor in full; all processes must ask for those in shards."""
    full: Tensor = value.full_tensor() if is_sharded(value) else value  # type: ignore[attr-defined]
    return full.detach()


def parted_as(like: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Whole tensors in the shards of those of the same names."""
    return {name: _parted(like[name], value) if name in like else value for name, value in tensors.items()}


def _parted(like: Any, value: Tensor) -> Tensor:
    if not is_sharded(like) or is_sharded(value) or value.shape != like.shape:
        return value
    from torch.distributed.tensor import distribute_tensor

    parted: Tensor = distribute_tensor(value.to(like.device), like.device_mesh, like.placements)
    return parted


def part_moments(optimiser: torch.optim.Optimizer) -> None:
    """Moments from a checkpoint get the shards of their weights."""
    for parameter, slots in optimiser.state.items():
        for name, value in slots.items():
            if isinstance(value, Tensor):
                slots[name] = _parted(parameter, value)


def norms_of(tensors: Sequence[Tensor]) -> Tensor:
    """(n,) norms of whole weights or gradients, of which this process may have shards."""
    parts = [one.to_local() if is_sharded(one) else one for one in tensors]  # type: ignore[attr-defined]
    squares = torch.stack([part.detach().float().square().sum() for part in parts])
    parted = torch.tensor([is_sharded(one) for one in tensors], device=squares.device)
    summed = torch.where(parted, squares, 0.0)
    dist.all_reduce(summed)
    return torch.where(parted, summed, squares).sqrt()


def clip_shards(parameters: Iterable[nn.Parameter], limit: float, *, each: bool) -> None:
    """As ``nn.utils.clip_grad_norm_`` of all together, or of each."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norms = norms_of(gradients)
    factors = (limit / ((norms if each else norms.norm().expand_as(norms)) + 1e-6)).clamp(max=1.0)
    for gradient, factor in zip(gradients, factors.tolist(), strict=True):
        gradient.mul_(factor)
