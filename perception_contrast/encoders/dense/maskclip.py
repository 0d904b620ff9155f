"""MaskCLIP: Zhou et al., "Extract Free Dense Labels from CLIP", ECCV 2022."""

from __future__ import annotations

from torch import Tensor


def maskclip_attention(query: Tensor, key: Tensor, value: Tensor, rows: int, columns: int) -> Tensor:
    """Each token keeps its own value; arguments and result as of ``methods.AttentionEdit.attend``."""
    return value
