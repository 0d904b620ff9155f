"""Contrastive losses between two sets of unit vectors."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def clip_loss(image: Tensor, text: Tensor, scale: Tensor | float) -> Tensor:
    """Symmetric InfoNCE (Radford et al., CLIP, 2021). image, text: (n, c), row i matches row i.

    Rows are normalised here. scale: inverse temperature.
    """
    logits = scale * F.normalize(image, dim=-1) @ F.normalize(text, dim=-1).T
    target = torch.arange(len(image), device=image.device)
    return 0.5 * (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target))


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
