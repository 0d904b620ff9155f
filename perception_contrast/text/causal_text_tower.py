"""CLIP's text tower over no more ids than its texts have: padding changes nothing, but costs as much.

A text's vector is what stands at its end, and no id sees those behind it, so what follows the end can be
cut off (Radford et al., CLIP, 2021). Towers that see both ways or pool at the last of all ids (SigLIP,
MobileCLIP) were trained with their padding, and need all of it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def reads_to_the_end_alone(text: Any) -> bool:
    """Whether a text's vector depends on nothing behind its end.

    Args:
        text: open_clip's ``TextTransformer``, or its ``CLIP``, which has the same parts.
    """
    causal = getattr(text, "attn_mask", None) is not None and getattr(text, "cls_emb", None) is None
    return causal and _pooling(text) in ("argmax", "eos")


def ends_of(text: Any, ids: Tensor) -> Tensor:
    """The place of each text's end, (n,), in ids (n, T) of a tower of ``reads_to_the_end_alone``."""
    if _pooling(text) == "argmax":  # the end has the highest id
        return ids.argmax(dim=-1)
    end = text.text_eos_id if hasattr(text, "text_eos_id") else text.eos_id
    places: Tensor = (ids == end).int().argmax(dim=-1)
    return places


def vectors_at_ends(text: Any, ids: Tensor) -> Tensor:
    """What ``text`` gives for ids (n, T) of any T up to its context: (n, dim), not of unit length."""
    length = ids.shape[1]
    dtype = text.transformer.get_cast_dtype()
    x = text.token_embedding(ids).to(dtype) + text.positional_embedding[:length].to(dtype)
    x = text.ln_final(text.transformer(x, attn_mask=text.attn_mask[:length, :length]))
    vectors: Tensor = x[torch.arange(len(ids), device=x.device), ends_of(text, ids)]
    project = text.text_projection
    if project is not None:
        vectors = project(vectors) if callable(project) else vectors @ project
    return vectors


def _pooling(text: Any) -> str:
    return str(text.text_pool_type if hasattr(text, "text_pool_type") else getattr(text, "pool_type", ""))
