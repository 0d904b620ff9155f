"""A small C-RADIO as transformers has it."""

from __future__ import annotations

from typing import Any

import torch


def small_radio(width: int, depth: int, heads: int) -> Any:
    """Three class tokens and seven registers, as C-RADIOv4 has, without the layer scales it adds."""
    from transformers import RadioConfig, RadioModel

    config = RadioConfig(
        hidden_size=width,
        num_hidden_layers=depth,
        num_attention_heads=heads,
        num_cls_tokens=3,
        num_registers=7,
    )
    made: Any = RadioModel(config).eval().requires_grad_(False)
    for name, value in made.named_parameters():
        if "lambda1" not in name:
            value.add_(torch.randn_like(value) * 0.05)
    return made
