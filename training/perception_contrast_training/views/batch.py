"""From what single images gave to a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from perception_contrast_training.engine.negative_mask import FRAME_POSITIONS

VIEWED = frozenset({"views", "globals", "locals", "masks", FRAME_POSITIONS})
"""Names whose tensors hold several views of one image, (v, ...)."""


SOURCES, DRAWS = "sources", "draws/"
"""Names of whole images, and before the name of views of their draws, where views are made later."""


def collated(samples: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Makes a batch of samples.

    Args:
        samples: What ``Views`` gives for each image.

    Returns:
        (v, n, ...) for the names in VIEWED, otherwise (n, ...).
    """
    return {
        name: torch.stack([sample[name] for sample in samples], dim=int(name in VIEWED))
        for name in samples[0]
    }


def padded(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors of as many axes as one, with zeros behind those that are smaller."""
    largest = [max(sides) for sides in zip(*(one.shape for one in tensors), strict=True)]
    if all(list(one.shape) == largest for one in tensors):
        return torch.stack(list(tensors))
    together = tensors[0].new_zeros((len(tensors), *largest))
    for place, one in zip(together, tensors, strict=True):
        place[tuple(slice(side) for side in one.shape)] = one
    return together
