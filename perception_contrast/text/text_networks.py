"""Text networks that training fits to an image encoder; random until weights are loaded."""

from __future__ import annotations

from typing import Any

from torch import nn

from perception_contrast.models.model_libraries import import_open_clip

CLIP_VOCABULARY = 49408


def clip_text_transformer(width: int, depth: int, heads: int, context: int, dim: int) -> Any:
    """CLIP's text tower (Radford et al. 2021) by open_clip in any size: ids (n, context) to (n, dim)."""
    return import_open_clip().transformer.TextTransformer(
        context_length=context,
        vocab_size=CLIP_VOCABULARY,
        width=width,
        heads=heads,
        layers=depth,
        output_dim=dim,
    )


def sentence_projection(width: int, dim: int, hidden: int = 0) -> nn.Module:
    """Sentence vectors (n, width) to (n, dim): linear, or through a hidden layer."""
    if not hidden:
        return nn.Linear(width, dim)
    return nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, dim))
