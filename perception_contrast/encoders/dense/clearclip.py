"""ClearCLIP: Lan et al., "ClearCLIP: Decomposing CLIP Representations for Dense Vision-Language Inference",
ECCV 2024."""

from __future__ import annotations

from torch import Tensor

from perception_contrast.encoders.dense.attention import self_similarity


def clearclip_attention(query: Tensor, key: Tensor, value: Tensor, rows: int, columns: int) -> Tensor:
    """Query-query attention; arguments and result as of ``methods.AttentionEdit.attend``."""
    return self_similarity(query, value)
