"""Blocks of patches that are hidden (Bao et al., BEiT, ICLR 2022; Zhou et al., iBOT, ICLR 2022)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from perception_contrast_training.views.random_source import RandomSource

LEAST_BLOCK = 4  # patches
TRIES = 10


def block_mask(rows: int, columns: int, hidden: int, chance: RandomSource, narrowest: float = 0.3) -> Tensor:
    """(rows, columns) bool with at most ``hidden`` true patches, in blocks whose sides have random ratios
    from ``narrowest`` to its inverse, until no further one is found to fit."""
    mask = torch.zeros(rows, columns, dtype=torch.bool)
    count = 0
    while count < hidden:
        more = _add_block(mask, hidden - count, chance, narrowest)
        if not more:
            break
        count += more
    return mask


def _add_block(mask: Tensor, most: int, chance: RandomSource, narrowest: float) -> int:
    """How many patches became hidden."""
    rows, columns = mask.shape
    limit = math.log(narrowest)
    for _ in range(TRIES):
        # Where fewer than the least block are left to hide, the block is as small as they are.
        area = chance.uniform(min(LEAST_BLOCK, most), most)
        ratio = math.exp(chance.uniform(limit, -limit))
        height, width = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if not (0 < height < rows and 0 < width < columns):
            continue
        top, left = chance.integer(rows - height + 1), chance.integer(columns - width + 1)
        block = mask[top : top + height, left : left + width]
        new = height * width - int(block.sum())
        if 0 < new <= most:
            block.fill_(True)
            return new
    return 0
