"""Attention for dense features, as functions of tensors.

Zhou et al., "Extract Free Dense Labels from CLIP" (MaskCLIP), ECCV 2022; Wang et al., "SCLIP", ECCV
2024; Lan et al., "ClearCLIP", ECCV 2024; Hajimiri et al., "Pay Attention to Your Neighbours" (NACLIP),
WACV 2025; Lan et al., "ProxyCLIP", ECCV 2024.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

NEARNESS_SIGMA = 5.0  # patches; NACLIP's published value
PROXY_SHIFT, PROXY_SHARPNESS = 1.2, 3.0  # ProxyCLIP's published beta and gamma
# So many patches are looked up at once: what an image needs grows with its patches, not their square.
PROXY_ROWS = 1024


def edited_attention(
    method: str, query: Tensor, key: Tensor, value: Tensor, rows: int, columns: int
) -> Tensor:
    """What each token gathers by one of ``EDITS``: (B, heads, n, d), of which each argument has the shape.

    Tokens before the last rows * columns (class, registers) take part in attention, as published.
    """
    if method == "maskclip":
        return value
    if method == "sclip":
        return self_similarity(query, value) + self_similarity(key, value)
    if method == "clearclip":
        return self_similarity(query, value)
    before = value.shape[-2] - rows * columns
    # Tokens that lie nowhere are near to nothing.
    bias = functional.pad(nearness(rows, columns, device=key.device), (before, 0, before, 0))
    return self_similarity(key, value, bias.to(key))


def self_similarity(vectors: Tensor, value: Tensor, bias: Tensor | None = None) -> Tensor:
    """softmax(x x^T / sqrt(d) + bias) value of x = vectors (..., n, d); bias (n, n)."""
    return functional.scaled_dot_product_attention(vectors, vectors, value, attn_mask=bias)


def nearness(rows: int, columns: int, *, device: torch.device | str = "cpu") -> Tensor:
    """(rows * columns, rows * columns): ``exp(-|p_i - p_j|^2 / (2 sigma^2))``, row-major patches p.

    Made on the device itself: a recording of what a GPU does cannot hold a copy from the host.
    """

    def along(count: int) -> Tensor:
        place = torch.arange(count, dtype=torch.float32, device=device)
        return torch.exp(-((place[:, None] - place) ** 2) / (2 * NEARNESS_SIGMA**2))

    # A two-dimensional Gaussian is the product of two one-dimensional ones.
    return torch.kron(along(rows), along(columns))


def proxy_attention(features: Tensor) -> Tensor:
    """ProxyCLIP's attention of patches features (B, n, c), of any length each: (B, n, n) float32.

    Rows sum to 1. The mean cosine is each image's own, and a patch that is like no other more than
    that attends to itself, so an image depends on no other and a plain one gives finite numbers.
    """
    unit = functional.normalize(features.float(), dim=-1)
    return _attention_of(unit, 0, unit.shape[1])


def proxy_gathered(features: Tensor, values: Tensor) -> Tensor:
    """``proxy_attention(features) @ values``: features (B, n, c), values (B, n, w), to (B, n, w) float32.

    One product for all heads, whose attention is the same; never the whole (n, n) at once.
    """
    unit, values = functional.normalize(features.float(), dim=-1), values.float()
    count = unit.shape[1]
    with torch.autocast(values.device.type, enabled=False):
        parts = [
            _attention_of(unit, first, min(first + PROXY_ROWS, count)) @ values
            for first in range(0, count, PROXY_ROWS)
        ]
    return torch.cat(parts, dim=1)


def _attention_of(unit: Tensor, first: int, end: int) -> Tensor:
    """Rows first to end of the attention of unit vectors (B, n, c)."""
    with torch.autocast(unit.device.type, enabled=False):
        cosines = unit[:, first:end] @ unit.transpose(1, 2)
        # The mean of all cosines is the squared length of the mean vector.
        mean = unit.mean(dim=1).square().sum(dim=-1)[:, None, None]
        logits = PROXY_SHARPNESS * (cosines - PROXY_SHIFT * mean)
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
