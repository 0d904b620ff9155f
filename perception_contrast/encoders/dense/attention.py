"""Attention of vectors with themselves, which several methods of dense features build on."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def self_similarity(vectors: Tensor, value: Tensor, bias: Tensor | None = None) -> Tensor:
    """softmax(x x^T / sqrt(d) + bias) value of x = vectors (..., n, d); bias (n, n)."""
    return functional.scaled_dot_product_attention(vectors, vectors, value, attn_mask=bias)
