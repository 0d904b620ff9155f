"""Small backbones and batches for tests of learning methods, in float64 where numbers are compared."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import timm
import torch
from torch import Tensor, nn

from perception_contrast_training.methods.base import Losses, Progress
from perception_contrast_training.networks.backbones import Backbone, BackboneSettings, make_backbone

SIZE, PATCH, WIDTH, DEPTH, HEADS = 16, 4, 24, 2, 3
PATCHES = (SIZE // PATCH) ** 2
FIRST = Progress(step=40, steps=100, epoch_steps=10)
"""The fifth epoch of ten: nothing is frozen any more, momentum is on its way."""


def small_vit(seed: int = 0, **options: Any) -> Backbone:
    torch.manual_seed(seed)
    return make_backbone(
        BackboneSettings(
            name="vit_tiny_patch16_224",
            size=SIZE,
            patch=PATCH,
            width=WIDTH,
            depth=DEPTH,
            heads=HEADS,
            **options,
        )
    )


def timms_own(backbone: Backbone) -> nn.Module:
    """The same network as timm alone runs it, at any size: forward gives its pooled vector."""
    options = {**backbone.architecture.options, "dynamic_img_size": True}
    network: nn.Module = timm.create_model(backbone.architecture.name, num_classes=0, **options)
    network.to(next(backbone.parameters()).dtype).load_state_dict(backbone.network.state_dict())
    return network


def moved(module: nn.Module, seed: int = 9, by: float = 0.05) -> None:
    """Moves every parameter a little, so that twins differ and zeros are none."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += by * torch.randn(parameter.shape, generator=generator).to(parameter.dtype)


def images(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def some_positions(count: int) -> Tensor:
    """(2, count, 7): two recordings of frames half a radius apart in time; a third have places too."""
    number = torch.arange(2 * count, dtype=torch.float64).view(count, 2).T
    places = torch.randn(2, count, 3, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    places[:, torch.arange(count) % 3 > 0] = torch.nan
    columns = [number, (number > count).double(), number // 2 * 0.5, torch.zeros_like(number)]
    return torch.cat([torch.stack(columns, dim=-1), places], dim=-1)


def linear_pair(theirs: nn.Module, name: str, ours: nn.Module) -> None:
    """Copies a linear layer of ours into the one called ``name`` of theirs."""
    layer = theirs.get_submodule(name)
    layer.load_state_dict(copy.deepcopy(ours.state_dict()))


def largest_difference(ours: Mapping[str, Tensor | None], theirs: Mapping[str, Tensor | None]) -> float:
    """Over all names, which must be the same; None matches None and zeros."""
    assert ours.keys() == theirs.keys(), ours.keys() ^ theirs.keys()
    worst = 0.0
    for name, one in ours.items():
        other = theirs[name]
        if one is None or other is None:
            left = one if one is not None else other
            assert left is None or not left.abs().max(), name
            continue
        assert one.shape == other.shape, (name, one.shape, other.shape)
        if one.numel():
            worst = max(worst, float((one.detach() - other.detach()).abs().max()))
    return worst


def gradients(module: nn.Module, start: str = "") -> dict[str, Tensor | None]:
    """Of the parameters whose names begin with ``start``, which is cut off."""
    return {
        name.removeprefix(start): parameter.grad
        for name, parameter in module.named_parameters()
        if name.startswith(start)
    }


def values(module: nn.Module, start: str = "") -> dict[str, Tensor | None]:
    return {
        name.removeprefix(start): parameter.detach()
        for name, parameter in module.named_parameters()
        if name.startswith(start)
    }


def step(method: Any, batch: Mapping[str, Any], progress: Progress = FIRST, rate: float = 0.1) -> Losses:
    """One full training step with plain gradient descent."""
    method.train()
    method.zero_grad(set_to_none=True)
    losses: Losses = method.loss(batch, progress)
    losses.total.backward()
    method.before_step(progress)
    torch.optim.SGD([p for group in method.groups() for p in group.parameters], lr=rate).step()
    method.after_step(progress)
    return losses
