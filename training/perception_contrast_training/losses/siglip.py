"""The pairwise sigmoid loss of SigLIP (Zhai et al., ICCV 2023)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from perception_contrast_training.losses.blockwise import Negatives, Rows, left_out, sum_of_blocks
from perception_contrast_training.losses.full_precision import exact
from perception_contrast_training.losses.unit_vectors import as_tensor, require_same, unit


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
    """Pairwise sigmoid loss: whether each image and each text belong together, pair by pair.

    Args:
        image: (n, c) vectors of images; normalised here.
        text: (n, c) vectors of texts, row i of the image of row i.
        scale: Inverse temperature.
        bias: Added to all logits; -10 at the start in the paper.
        chunk: Texts that are compared with all images at once, 0 for all.
        rows: Texts whose part of the loss is given, as of ``clip_loss``.
        negatives: As of ``clip_loss``.

    Returns:
        () loss, summed over texts, mean over images.

    Raises:
        ValueError: The shapes differ, or there are no rows.

    Example:
        >>> round(sigmoid_loss(torch.eye(2), torch.eye(2), scale=10.0, bias=-5.0).item(), 4)
        0.0134

    Source: Zhai et al., "Sigmoid Loss for Language Image Pre-Training" (SigLIP), ICCV 2023.
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
