"""ProxyCLIP: Lan et al., "ProxyCLIP: Proxy Attention Improves CLIP for Open-Vocabulary Segmentation", ECCV
2024."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

SHIFT, SHARPNESS = 1.2, 3.0  # the published beta and gamma
# Rows of the attention matrix per product: memory grows with the patches, not with their square.
ROWS_AT_ONCE = 1024


def proxy_attention(features: Tensor) -> Tensor:
    """ProxyCLIP's attention of patches features (B, n, c), of any length each: (B, n, n) float32.

    Rows sum to 1. The mean cosine is each image's own, and a patch that is like no other more than
    that attends to itself, so an image depends on no other and a plain one gives finite numbers.
    """
    unit = functional.normalize(features.float(), dim=-1)
    return _attention_rows(unit, 0, unit.shape[1])


def gather_by_proxy(features: Tensor, values: Tensor) -> Tensor:
    """``proxy_attention(features) @ values``: features (B, n, c), values (B, n, w), to (B, n, w) float32.

    One product for all heads, whose attention is the same; never the whole (n, n) at once.
    """
    unit, values = functional.normalize(features.float(), dim=-1), values.float()
    count = unit.shape[1]
    with torch.autocast(values.device.type, enabled=False):
        parts = [
            _attention_rows(unit, first, min(first + ROWS_AT_ONCE, count)) @ values
            for first in range(0, count, ROWS_AT_ONCE)
        ]
    return torch.cat(parts, dim=1)


def _attention_rows(unit: Tensor, first: int, end: int) -> Tensor:
    """Rows first to end of the attention of unit vectors (B, n, c)."""
    with torch.autocast(unit.device.type, enabled=False):
        cosines = unit[:, first:end] @ unit.transpose(1, 2)
        # The mean of all cosines is the squared length of the mean vector.
        mean = unit.mean(dim=1).square().sum(dim=-1)[:, None, None]
        logits = SHARPNESS * (cosines - SHIFT * mean)
        place = torch.arange(unit.shape[1], device=unit.device)
        other = place[first:end, None] != place
        return logits.masked_fill((logits < 0) & other, -torch.inf).softmax(dim=-1)


def resampled_grid(values: Tensor, rows: int, columns: int) -> Tensor:
    """values (B, h, w, c) of an image to (B, rows, columns, c) of the same image, bilinearly, float32."""
    if tuple(values.shape[1:3]) == (rows, columns):
        return values.float()
    moved = functional.interpolate(
        values.float().permute(0, 3, 1, 2), (rows, columns), mode="bilinear", align_corners=False
    )
    return moved.permute(0, 2, 3, 1)
