"""SCLIP: Wang et al., "SCLIP: Rethinking Self-Attention for Dense Vision-Language Inference", ECCV 2024."""

from __future__ import annotations

from torch import Tensor

from perception_contrast.encoders.dense.attention import self_similarity


def sclip_attention(query: Tensor, key: Tensor, value: Tensor, rows: int, columns: int) -> Tensor:
    """Query-query plus key-key attention; arguments and result as of ``methods.AttentionEdit.attend``."""
    return self_similarity(query, value) + self_similarity(key, value)
