"""LoRA (Hu et al., ICLR 2022) through peft: small additions that learn while the weights stay."""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass
from typing import Any, TypeVar

from torch import nn

from perception_contrast.core.errors import RecipeError

Net = TypeVar("Net", bound=nn.Module)
ATTENTION = ("attn.qkv", "attn.proj")


@dataclass(frozen=True)
class LoraSettings:
    """rank: of the additions, 0 for none. alpha: they count alpha / rank. dropout: before them.

    modules: ends of the names of the layers that get one, as "attn.qkv", "mlp.fc1". also: parts of names of
    weights that learn as they are, as "norm".
    """

    rank: int = 0
    alpha: float = 16.0
    dropout: float = 0.0
    modules: tuple[str, ...] = ATTENTION
    also: tuple[str, ...] = ()


def adapt(network: nn.Module, settings: LoraSettings, *, without: str = "") -> None:
    """Puts LoRA into the layers of ``network``, which gives what it gave until they learn; the rest freezes.

    without: a pattern of the whole names of layers that get none, whatever else ``settings`` say. Raises
    RecipeError where no layer has such a name.
    """
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=list(settings.modules),
        exclude_modules=without or None,
    )
    try:
        inject_adapter_in_model(config, network)
    except ValueError as error:
        names = sorted({".".join(n.split(".")[-2:]) for n, m in network.named_modules() if _fits(m)})
        raise RecipeError(
            f"LoRA finds no layer {', '.join(settings.modules)} in this network; it has {', '.join(names)}"
        ) from error
    for name, parameter in network.named_parameters():
        kept = without and re.fullmatch(without, name)
        if not kept and any(part in name for part in settings.also):
            parameter.requires_grad_(True)


def _fits(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear | nn.Conv2d)


def merged(network: Net) -> Net:
    """A copy whose additions are worked into the weights, with the names of the network before ``adapt``."""
    result = copy.deepcopy(network)
    _merge(result)
    return result


def _merge(module: nn.Module) -> None:
    from peft.tuners.lora.layer import LoraLayer

    for name, child in module.named_children():
        if isinstance(child, LoraLayer):
            layer: Any = child
            layer.merge(safe_merge=True)
            setattr(module, name, layer.get_base_layer())
        else:
            _merge(child)
