"""Contrastive losses between two sets of unit vectors."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .blocks import Negatives, Rows, left_out, sum_of_blocks
from .unit import unit


def clip_loss(
    image: Tensor,
    text: Tensor,
    scale: Tensor | float,
    chunk: int = 0,
    rows: Rows | None = None,
    *,
    negatives: Negatives | None = None,
) -> Tensor:
    """Symmetric InfoNCE (Radford et al., CLIP, 2021). image, text: (n, c), row i matches row i.

    Rows are normalised here. scale: inverse temperature. chunk: rows that are compared with all others at
    once, 0 for all; with it memory grows with n * chunk, in the backward pass too. rows: gives the part
    of the loss that these rows have; the parts of all rows add up to it. negatives: which pairs of rows may
    be told apart, None for all; a picture and its own text always count.
    """
    image, text = unit(image), unit(text)

    def part(start: int, some_images: Tensor, some_texts: Tensor, *all_of: Tensor) -> Tensor:
        images, texts, scale = all_of
        target = torch.arange(start, start + len(some_images), device=images.device)
        logits = scale * some_images @ texts.T
        out = None if negatives is None else left_out(negatives, start, len(some_images))
        if out is not None:
            logits.masked_fill_(out, float("-inf"))
        # The whole table serves both directions.
        if len(some_images) == len(images):
            other = logits.T
        else:
            other = scale * some_texts @ images.T
            if out is not None:
                other.masked_fill_(out, float("-inf"))
        return F.cross_entropy(logits, target, reduction="sum") + F.cross_entropy(
            other, target, reduction="sum"
        )

    whole = (image, text, _tensor(scale, image))
    return sum_of_blocks(part, rows or (0, len(image)), chunk, (image, text), whole) / (2 * len(image))


def sigmoid_loss(
    image: Tensor,
    text: Tensor,
    scale: Tensor | float,
    bias: Tensor | float,
    chunk: int = 0,
    rows: Rows | None = None,
    *,
    negatives: Negatives | None = None,
) -> Tensor:
    """Pairwise sigmoid loss (Zhai et al., SigLIP, ICCV 2023), summed over texts, mean over pictures.

    image, text: (n, c), row i matches row i; normalised here. chunk, rows: of texts, as of ``clip_loss``;
    negatives too.
    """
    image, text = unit(image), unit(text)

    def part(start: int, some_texts: Tensor, images: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
        logits = scale * images @ some_texts.T + bias
        sign = -torch.ones_like(logits)
        # The match of text number start + j is picture number start + j.
        sign.diagonal(-start).fill_(1.0)
        terms = F.logsigmoid(sign * logits)
        if negatives is not None:
            terms.masked_fill_(left_out(negatives, start, len(some_texts)).T, 0.0)
        return -terms.sum()

    whole = (image, _tensor(scale, image), _tensor(bias, image))
    return sum_of_blocks(part, rows or (0, len(text)), chunk, (text,), whole) / len(image)


def _tensor(value: Tensor | float, like: Tensor) -> Tensor:
    return value if isinstance(value, Tensor) else like.new_tensor(value)


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
