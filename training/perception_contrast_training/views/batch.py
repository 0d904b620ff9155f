"""From what single images gave to a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from perception_contrast_training.engine.negative_mask import FRAME_POSITIONS

VIEWED = frozenset({"views", "globals", "locals", "masks", FRAME_POSITIONS})
"""Names whose tensors hold several views of one image, (v, ...)."""


def collated(samples: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Samples as ``Views`` gives them to a batch: (v, n, ...) for the names in VIEWED, else (n, ...)."""
    return {
        name: torch.stack([sample[name] for sample in samples], dim=int(name in VIEWED))
        for name in samples[0]
    }
