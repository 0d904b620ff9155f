"""What methods share that compare vectors of the whole batch."""

from __future__ import annotations

from .. import gather
from .base import Batch, Contrastive, Losses

TABLE = 1 << 22
"""Numbers that the table of a comparison may hold at once; float32: 16 MB.

Two views of 1,024 pictures fill it."""


def rows_at_once(table: int, columns: int) -> int:
    """How many rows are compared with all columns together, so that a table holds no more than that."""
    return max(1, table // max(1, columns))


def compared(method: Contrastive, batch: Batch) -> Losses:
    """The loss of a batch that fits into memory."""
    return method.compare({name: gather.gathered(x) for name, x in method.embed(batch).items()})
