"""NACLIP: Hajimiri et al., "Pay Attention to Your Neighbours: Training-Free Open-Vocabulary Semantic
Segmentation", WACV 2025; and its wider form for C-RADIO: Alama et al., "RayFronts", IROS 2025."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from perception_contrast.encoders.dense.attention import self_similarity

# Patches; the published values.
NEIGHBOURHOOD_SIGMA = 5.0
RADIO_SIGMA = 7.0


def naclip_attention(query: Tensor, key: Tensor, value: Tensor, rows: int, columns: int) -> Tensor:
    """Key-key attention with a Gaussian bias; arguments and result as of ``methods.AttentionEdit.attend``."""
    return _among_neighbours(key, value, rows, columns, NEIGHBOURHOOD_SIGMA)


def naradio_attention(query: Tensor, key: Tensor, value: Tensor, rows: int, columns: int) -> Tensor:
    """As ``naclip_attention`` with the wider Gaussian of RayFronts, whose block keeps its other parts."""
    return _among_neighbours(key, value, rows, columns, RADIO_SIGMA)


def _among_neighbours(key: Tensor, value: Tensor, rows: int, columns: int, sigma: float) -> Tensor:
    before = value.shape[-2] - rows * columns
    # Class and register tokens have no place, so their bias is 0.
    bias = functional.pad(neighbourhood_bias(rows, columns, sigma, device=key.device), (before, 0, before, 0))
    return self_similarity(key, value, bias.to(key))


def neighbourhood_bias(
    rows: int, columns: int, sigma: float = NEIGHBOURHOOD_SIGMA, *, device: torch.device | str = "cpu"
) -> Tensor:
    """(rows * columns, rows * columns): ``exp(-|p_i - p_j|^2 / (2 sigma^2))``, row-major patches p.

    Made on the device itself: a CUDA graph cannot hold a copy from the host.
    """

    def along(count: int) -> Tensor:
        place = torch.arange(count, dtype=torch.float32, device=device)
        return torch.exp(-((place[:, None] - place) ** 2) / (2 * sigma**2))

    # A two-dimensional Gaussian is the product of two one-dimensional ones.
    return torch.kron(along(rows), along(columns))
