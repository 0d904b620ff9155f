"""What methods share that compare vectors of the whole batch."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from perception_contrast_training.engine import gather
from perception_contrast_training.engine.negative_mask import FRAME_POSITIONS, NegativeMask
from perception_contrast_training.losses.blockwise import Negatives, left_out
from perception_contrast_training.losses.full_precision import at_least_float32
from perception_contrast_training.losses.unit_vectors import unit
from perception_contrast_training.methods.base import Batch, Contrastive, Losses
from perception_contrast_training.monitors.measures import negative_measures

TABLE = 1 << 22
"""Numbers that the table of a comparison may hold at once; float32: 16 MB.

Two views of 1,024 images fill it."""
WATCHED = 128
"""Images of a step whose negatives monitors look at."""


def rows_at_once(table: int, columns: int) -> int:
    """How many rows are batch_loss with all columns together, so that a table holds no more than that."""
    return max(1, table // max(1, columns))


def frame_positions(batch: Batch) -> dict[str, Tensor]:
    """FRAME_POSITIONS (n, 2, 7) of a batch that has it, to go with the vectors wherever they are gathered."""
    return {FRAME_POSITIONS: batch[FRAME_POSITIONS].transpose(0, 1)} if FRAME_POSITIONS in batch else {}


def negatives_of(embedded: Mapping[str, Tensor], views: int) -> NegativeMask | None:
    """Of the first views of all images, then of the second ones where ``views`` is 2; None for all."""
    if FRAME_POSITIONS not in embedded:
        return None
    return NegativeMask(embedded[FRAME_POSITIONS][:, :views].transpose(0, 1).flatten(0, 1))


@torch.no_grad()
def watched_negatives(
    anchors: Tensor,
    others: Tensor,
    negatives: Negatives | None,
    table: int,
    temperature: float | None = None,
) -> dict[str, Tensor]:
    """What monitors see of the negatives of some of this process's images.

    Args:
        anchors: (n, c) of all images of the batch, on all processes.
        others: (m, c) what they are compared with: texts, row by row; or the anchors themselves, and then
            their second views.
        negatives: As of the loss, None for all.
        table: Numbers that may be held at once.
        temperature: As of ``negative_measures``.
    """
    first, last = gather.own_rows(len(anchors))
    last = min(last, first + min(WATCHED, rows_at_once(table // 8, len(others))))  # a few such tables
    among = len(others) > len(anchors)  # oneself is one of the others, and the match stands n rows on
    shift = len(anchors) if among else 0
    cosines = unit(at_least_float32(anchors[first:last].detach())) @ unit(at_least_float32(others.detach())).T
    rows = torch.arange(first, last, device=cosines.device)
    if negatives is None:
        negative = torch.ones_like(cosines, dtype=torch.bool)
    else:
        negative = ~left_out(negatives, first, last - first, match=shift, oneself=among)
    negative.scatter_(1, rows[:, None], False)
    negative.scatter_(1, rows[:, None] + shift, False)
    return negative_measures(cosines, rows + shift, negative, temperature)


def batch_loss(method: Contrastive, batch: Batch) -> Losses:
    """Computes the loss of a batch that fits into memory.

    Args:
        method: The method.
        batch: The views by name.

    Returns:
        The loss over the images of all processes.
    """
    return method.compare({name: gather.gathered(x) for name, x in method.embed(batch).items()})
