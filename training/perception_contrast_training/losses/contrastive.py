"""Contrastive losses between two sets of unit vectors."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint


def clip_loss(image: Tensor, text: Tensor, scale: Tensor | float) -> Tensor:
    """Symmetric InfoNCE (Radford et al., CLIP, 2021). image, text: (n, c), row i matches row i.

    Rows are normalised here. scale: inverse temperature.
    """
    logits = scale * F.normalize(image, dim=-1) @ F.normalize(text, dim=-1).T
    target = torch.arange(len(image), device=image.device)
    return 0.5 * (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target))


def sigmoid_loss(
    image: Tensor, text: Tensor, scale: Tensor | float, bias: Tensor | float, chunk: int = 0
) -> Tensor:
    """Pairwise sigmoid loss (Zhai et al., SigLIP, ICCV 2023), summed over texts, mean over pictures.

    image, text: (n, c), row i matches row i; normalised here. chunk: texts that are compared at once, 0
    for all of them; with it memory grows with n * chunk, in the backward pass too.
    """
    image, text = F.normalize(image, dim=-1), F.normalize(text, dim=-1)
    step = chunk or len(text)
    total = image.new_zeros(())
    for start in range(0, len(text), step):
        part = (image, text[start : start + step], scale, bias, start)
        total = total + (
            checkpoint(_sigmoid_part, *part, use_reentrant=False) if chunk else _sigmoid_part(*part)
        )
    return total / len(image)


def _sigmoid_part(
    image: Tensor, text: Tensor, scale: Tensor | float, bias: Tensor | float, start: int
) -> Tensor:
    logits = scale * image @ text.T + bias
    sign = -torch.ones_like(logits)
    # The match of text number start + j is picture number start + j.
    sign.diagonal(-start).fill_(1.0)
    return -F.logsigmoid(sign * logits).sum()


def multi_positive_loss(logits: Tensor, positive: Tensor, ignored: Tensor | None = None) -> Tensor:
    """Supervised contrastive cross-entropy (Khosla et al., 2020, the sum outside the logarithm).

    logits: (n, m). positive: (n, m) bool. ignored: (n, m) bool, left out of the denominator.
    Rows without a positive count nothing; zero when there is no row with one.
    """
    if ignored is not None:
        logits = logits.masked_fill(ignored & ~positive, float("-inf"))
    log_probability = logits - logits.logsumexp(dim=1, keepdim=True)
    count = positive.sum(dim=1)
    row = -torch.where(positive, log_probability, torch.zeros_like(logits)).sum(dim=1) / count.clamp_min(1)
    return row[count > 0].mean() if bool((count > 0).any()) else logits.new_zeros(())
