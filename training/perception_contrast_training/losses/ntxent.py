"""NT-Xent, the loss of SimCLR (Chen et al., ICML 2020)."""

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
from perception_contrast_training.losses.full_precision import exact
from perception_contrast_training.losses.unit_vectors import as_tensor, require_same, unit


@exact
def nt_xent(
    a: Tensor,
    b: Tensor,
    temperature: float,
    chunk: int = 0,
    rows: Rows | None = None,
    *,
    negatives: Negatives | None = None,
) -> Tensor:
    """Normalised temperature-scaled cross-entropy, mean over all 2n views.

    Args:
        a: (n, c) vectors of one view of each image; normalised here.
        b: (n, c) vectors of the other view, row i of the image of row i of ``a``.
        temperature: Of the softmax over cosines, 0.1 to 0.5.
        chunk: Views that are compared with all others at once, 0 for all; memory grows with it.
        rows: Images whose part of the loss is given, None for all; the parts of all images add up to it.
        negatives: Which of the 2n views (all of ``a``, then all of ``b``) are told apart; None for all.

    Returns:
        () loss.

    Raises:
        ValueError: The shapes differ, or there are no rows.

    Example:
        >>> a, b = torch.eye(4), torch.eye(4)
        >>> round(nt_xent(a, b, temperature=0.1).item(), 4)
        0.0003

    Source: Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations" (SimCLR),
    ICML 2020, equation 1.
    """
    require_same("views", a, b)
    images = len(a)
    views = torch.cat([unit(a), unit(b)])
    target = torch.arange(images, images + len(views), device=views.device) % len(views)

    def hide(start: int, table: Tensor) -> None:
        if negatives is None:
            table.diagonal(start).fill_(float("-inf"))  # oneself
        else:
            out = left_out(negatives, start, len(table), match=images, oneself=True)
            table.masked_fill_(out, float("-inf"))

    def judge(start: int, table: Tensor) -> Tensor:
        hide(start, table)
        return cross_entropy_in_place(table, target[start : start + len(table)])

    def share(start: int, stop: int) -> Tensor:
        if chunk and stop - start > chunk:
            inverse = as_tensor(1.0 / temperature, views)
            return sum_of_blocks(judge, (start, stop), chunk, views, views, inverse)
        logits = views[start:stop] @ views.T / temperature
        hide(start, logits)
        return F.cross_entropy(logits, target[start:stop], reduction="sum")

    shares = [(0, len(views))] if rows is None else [rows, (rows[0] + images, rows[1] + images)]
    return torch.stack([share(*one) for one in shares]).sum() / len(views)
