"""Contrastive losses between two sets of unit vectors."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .blocks import Rows, sum_of_blocks


def clip_loss(
    image: Tensor, text: Tensor, scale: Tensor | float, chunk: int = 0, rows: Rows | None = None
) -> Tensor:
    """Symmetric InfoNCE (Radford et al., CLIP, 2021). image, text: (n, c), row i matches row i.

    Rows are normalised here. scale: inverse temperature. chunk: rows that are compared with all others at
    once, 0 for all; with it memory grows with n * chunk, in the backward pass too. rows: gives the part
    of the loss that these rows have; the parts of all rows add up to it.
    """
    image, text = F.normalize(image, dim=-1), F.normalize(text, dim=-1)

    def part(start: int, stop: int) -> Tensor:
        target = torch.arange(start, stop, device=image.device)
        logits = scale * image[start:stop] @ text.T
        # The whole table serves both directions.
        other = logits.T if stop - start == len(image) else scale * text[start:stop] @ image.T
        return F.cross_entropy(logits, target, reduction="sum") + F.cross_entropy(
            other, target, reduction="sum"
        )

    return sum_of_blocks(part, rows or (0, len(image)), chunk) / (2 * len(image))


def sigmoid_loss(
    image: Tensor,
    text: Tensor,
    scale: Tensor | float,
    bias: Tensor | float,
    chunk: int = 0,
    rows: Rows | None = None,
) -> Tensor:
    """Pairwise sigmoid loss (Zhai et al., SigLIP, ICCV 2023), summed over texts, mean over pictures.

    image, text: (n, c), row i matches row i; normalised here. chunk, rows: of texts, as of ``clip_loss``.
    """
    image, text = F.normalize(image, dim=-1), F.normalize(text, dim=-1)

    def part(start: int, stop: int) -> Tensor:
        logits = scale * image @ text[start:stop].T + bias
        sign = -torch.ones_like(logits)
        # The match of text number start + j is picture number start + j.
        sign.diagonal(-start).fill_(1.0)
        return -F.logsigmoid(sign * logits).sum()

    return sum_of_blocks(part, rows or (0, len(text)), chunk) / len(image)


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
