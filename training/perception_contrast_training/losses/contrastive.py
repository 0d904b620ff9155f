"""Contrastive losses between two sets of unit vectors."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from perception_contrast_training.losses.blockwise import (
    Negatives,
    Rows,
    cross_entropy_in_place,
    left_out,
    sum_of_blocks,
)
from perception_contrast_training.losses.exact import exact
from perception_contrast_training.losses.unit import as_tensor, require_same, unit


@exact
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
    be told apart, None for all; an image and its own text always count. Raises ValueError for shapes that
    differ.
    """
    require_same("images and texts", image, text)
    image, text, factor = unit(image), unit(text), as_tensor(scale, image)
    start, stop = rows or (0, len(image))
    target = torch.arange(len(image), device=image.device)
    if chunk and stop - start > chunk:

        def judge(first: int, table: Tensor) -> Tensor:
            if negatives is not None:
                table.masked_fill_(left_out(negatives, first, len(table)), float("-inf"))
            return cross_entropy_in_place(table, target[first : first + len(table)])

        ways = ((image, text), (text, image))
        both = [sum_of_blocks(judge, (start, stop), chunk, some, every, factor) for some, every in ways]
        return torch.stack(both).sum() / (2 * len(image))
    logits = factor * image[start:stop] @ text.T
    # The whole table serves both directions.
    other = logits.T if stop - start == len(image) else factor * text[start:stop] @ image.T
    if negatives is not None:
        out = left_out(negatives, start, stop - start)
        logits, other = (table.masked_fill(out, float("-inf")) for table in (logits, other))
    found = [F.cross_entropy(table, target[start:stop], reduction="sum") for table in (logits, other)]
    return torch.stack(found).sum() / (2 * len(image))


@exact
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
    """Pairwise sigmoid loss (Zhai et al., SigLIP, ICCV 2023), summed over texts, mean over images.

    image, text: (n, c), row i matches row i; normalised here. chunk, rows: of texts, as of ``clip_loss``;
    negatives too.
    """
    require_same("images and texts", image, text)
    image, text = unit(image), unit(text)
    factor, offset = as_tensor(scale, image), as_tensor(bias, image)
    start, stop = rows or (0, len(text))
    if chunk and stop - start > chunk:

        def judge(first: int, table: Tensor) -> Tensor:
            if negatives is not None:
                table.masked_fill_(left_out(negatives, first, len(table)), float("-inf"))
            return _sigmoid_in_place(first, table)

        return sum_of_blocks(judge, (start, stop), chunk, text, image, factor, offset) / len(image)
    logits = factor * text[start:stop] @ image.T + offset
    sign = -torch.ones_like(logits)
    # The match of text number start + j is image number start + j.
    sign.diagonal(start).fill_(1.0)
    terms = F.logsigmoid(sign * logits)
    if negatives is not None:
        terms = terms.masked_fill(left_out(negatives, start, stop - start), 0.0)
    return -terms.sum() / len(image)


def _sigmoid_in_place(start: int, table: Tensor) -> Tensor:
    """The loss of texts from number ``start`` on against all images; the table becomes its gradient."""
    matches = table.diagonal(start)
    matches.neg_()
    loss = torch.logaddexp(table, table.new_zeros(())).sum()
    table.sigmoid_()
    matches.neg_()
    return loss


@exact
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
