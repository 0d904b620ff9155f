"""Which parameters learn how fast, and which decay."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import nn

from perception_contrast_training.methods.base import Group
from perception_contrast_training.networks.backbones import TOKENS
from perception_contrast_training.networks.two_towers import Network, TwoTowers

BEFORE = re.compile(
    r"(patch_embed|pos_embed|cls_token|reg_token|mask_token|norm_pre|visual\.conv1|class_embedding"
    r"|positional_embedding|token_embedding|ln_pre)"
)  # the blocks, in the names of timm and open_clip


def grouped(
    parts: Mapping[str, nn.Module | nn.Parameter],
    layer_decay: float = 1.0,
    patch_rate: float = 1.0,
) -> list[Group]:
    """Groups the trained parameters by their factors on learning rate and weight decay.

    Biases, norms, tokens and positions do not decay.

    Args:
        parts: Networks and parameters of a method, by name. Frozen parameters are left out.
        layer_decay: Factor by which each block of a ViT learns slower than the next one (BEiT, DINOv2).
        patch_rate: Further factor on the rate of the patch embedding.

    Returns:
        The groups, as ``Method.groups`` gives them.
    """
    found: dict[tuple[float, float], list[nn.Parameter]] = {}
    seen: set[int] = set()
    for part_name, part in parts.items():
        named = [(part_name, part)] if isinstance(part, nn.Parameter) else list(part.named_parameters())
        for name, parameter in named:
            if not parameter.requires_grad or id(parameter) in seen:
                continue
            seen.add(id(parameter))
            rate = _rate(name, part, layer_decay, patch_rate) if isinstance(part, Network) else 1.0
            decay = 0.0 if parameter.ndim <= 1 or TOKENS.search(name) else 1.0
            found.setdefault((rate, decay), []).append(parameter)
    return [
        Group(f"rate {rate:.4g}, {'decays' if decay else 'no decay'}", parameters, rate, decay)
        for (rate, decay), parameters in sorted(found.items(), key=lambda item: item[0])
    ]


def each_parameter(module: nn.Module) -> list[Group]:
    """A group for each parameter that learns, in the module's order; vectors and scalars do not decay."""
    return [
        Group(name, [parameter], decay=float(parameter.ndim > 1))
        for name, parameter in module.named_parameters()
        if parameter.requires_grad
    ]


def _rate(name: str, network: Network, layer_decay: float, patch_rate: float) -> float:
    """Of DINOv2: block i of d has decay^(d - i); all before the blocks decay^(d + 1); the norm 1."""
    depth = network.depth_of(name) if isinstance(network, TwoTowers) else network.depth
    if not depth:  # of a convolutional network, whose stages count their blocks anew
        return 1.0
    block = re.search(r"blocks\.(\d+)\.", name)
    if block:
        return layer_decay ** (depth - int(block.group(1)))
    if not BEFORE.search(name):
        return 1.0
    rate: float = layer_decay ** (depth + 1)
    return rate * (patch_rate if "patch_embed" in name else 1.0)
