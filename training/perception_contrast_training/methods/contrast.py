"""What methods share that compare vectors of the whole batch."""

from __future__ import annotations

from .. import gather
from .base import Batch, Contrastive, Losses


def compared(method: Contrastive, batch: Batch) -> Losses:
    """The loss of a batch that fits into memory."""
    return method.compare({name: gather.gathered(x) for name, x in method.embed(batch).items()})
