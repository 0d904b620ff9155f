"""What methods share that compare vectors of the whole batch."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from perception_contrast_training.engine import gather
from perception_contrast_training.engine.negative_mask import FRAME_POSITIONS, NegativeMask
from perception_contrast_training.methods.base import Batch, Contrastive, Losses

TABLE = 1 << 22
"""Numbers that the table of a comparison may hold at once; float32: 16 MB.

Two views of 1,024 images fill it."""


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


def batch_loss(method: Contrastive, batch: Batch) -> Losses:
    """The loss of a batch that fits into memory."""
    return method.compare({name: gather.gathered(x) for name, x in method.embed(batch).items()})
