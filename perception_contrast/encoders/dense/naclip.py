"""NACLIP: Hajimiri et al., "Pay Attention to Your Neighbours: Training-Free Open-Vocabulary Semantic
Segmentation", WACV 2025."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from perception_contrast.encoders.dense.attention import self_similarity

NEIGHBOURHOOD_SIGMA = 5.0  # patches; the published value


def naclip_attention(query: Tensor, key: Tensor, value: Tensor, rows: int, columns: int) -> Tensor:
    """Key-key attention with a Gaussian bias; arguments and result as of ``methods.AttentionEdit.attend``."""
    before = value.shape[-2] - rows * columns
    # Class and register tokens have no place, so their bias is 0.
    bias = functional.pad(neighbourhood_bias(rows, columns, device=key.device), (before, 0, before, 0))
    return self_similarity(key, value, bias.to(key))


def neighbourhood_bias(rows: int, columns: int, *, device: torch.device | str = "cpu") -> Tensor:
    """(rows * columns, rows * columns): ``exp(-|p_i - p_j|^2 / (2 sigma^2))``, row-major patches p.

    Made on the device itself: a CUDA graph cannot hold a copy from the host.
    """

    def along(count: int) -> Tensor:
        place = torch.arange(count, dtype=torch.float32, device=device)
        return torch.exp(-((place[:, None] - place) ** 2) / (2 * NEIGHBOURHOOD_SIGMA**2))

    # A two-dimensional Gaussian is the product of two one-dimensional ones.
    return torch.kron(along(rows), along(columns))
