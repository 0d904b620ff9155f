"""The supervised contrastive loss, with several positives a row (Khosla et al., NeurIPS 2020)."""

from __future__ import annotations

import torch
from torch import Tensor

from perception_contrast_training.losses.full_precision import exact


@exact
def supervised_contrastive_loss(logits: Tensor, positive: Tensor, ignored: Tensor | None = None) -> Tensor:
    """Cross-entropy with several positives a row, the sum outside of the logarithm.

    Args:
        logits: (n, m).
        positive: (n, m) bool, what belongs together.
        ignored: (n, m) bool, left out of the denominator; None for none.

    Returns:
        () loss, mean over rows with a positive; zero where no row has one.

    Example:
        >>> positive = torch.tensor([[True, True, False]])
        >>> round(supervised_contrastive_loss(torch.zeros(1, 3), positive).item(), 4)
        1.0986

    Source: Khosla et al., "Supervised Contrastive Learning" (SupCon), NeurIPS 2020, equation 2.
    """
    if ignored is not None:
        logits = logits.masked_fill(ignored & ~positive, float("-inf"))
    log_probability = logits - logits.logsumexp(dim=1, keepdim=True)
    count = positive.sum(dim=1)
    row = -torch.where(positive, log_probability, torch.zeros_like(logits)).sum(dim=1) / count.clamp_min(1)
    return row[count > 0].mean() if bool((count > 0).any()) else logits.new_zeros(())
