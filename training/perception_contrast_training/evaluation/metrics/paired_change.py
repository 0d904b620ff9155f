"""By how much a mean over images changed between two encoders, with the interval of its true change."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Z95 = 1.959963984540054  # of the normal distribution, for 95 % between both ends
MOST = 1 << 40  # images; a change that needs more is told as that many


@dataclass(frozen=True)
class PairedChange:
    """Of one figure on the same images.

    Attributes:
        low, high: 95 % interval of the change.
        held: Images (or captions, where those are fewer) that the figure is a mean of.
        needed: How many it takes until half the interval is no wider than the loss that is looked for.
    """

    low: float
    high: float
    held: int
    needed: int

    @property
    def enough(self) -> bool:
        return self.held >= self.needed


def paired_change(before: Sequence[Tensor], after: Sequence[Tensor], loss: float) -> PairedChange:
    """The interval of Agresti and Min, "Simple improved confidence intervals for comparing matched
    proportions" (Statistics in Medicine, 2005): half an image is added to each of the four cells.

    Unlike a bootstrap it is not of width zero where no image changed, so that a few images are no proof.

    Args:
        before: For each mean that the figure is made of, (n,) values of 0 to 1, one for each image. The
            figure is the mean of these means; its interval is as if they erred together.
        after: The same, with the images in the same order.
        loss: Of the figure that is looked for, above 0.

    Returns:
        The change of the figure.

    Raises:
        ValueError: There are no images, or before and after are not of the same ones.
    """
    ends: list[tuple[float, float]] = []
    needed = 0
    for old, new in zip(before, after, strict=True):
        if old.shape != new.shape or not len(old):
            raise ValueError(f"{len(old)} and {len(new)} values are not pairs")
        change = (new - old).double()
        moments = float(change.mean()), float(change.square().mean())
        middle, half = _interval(len(change), *moments)
        ends.append((middle - half, middle + half))
        needed = max(needed, _least(loss, *moments))
    low, high = torch.tensor(ends, dtype=torch.float64).mean(dim=0).tolist()
    return PairedChange(low, high, min(len(old) for old in before), needed)


def fewest_images(loss: float) -> int:
    """How many images it takes at least to tell a loss, where no image changes at all."""
    return _least(loss, 0.0, 0.0)


def _interval(count: int, mean: float, square: float) -> tuple[float, float]:
    """Middle and half the width, from the mean of ``count`` changes and of their squares."""
    padded = count + 2
    middle = count * mean / padded
    variance = (count * square + 1) / padded - middle**2
    return middle, Z95 * math.sqrt(variance / padded)


def _least(loss: float, mean: float, square: float) -> int:
    """Smallest count whose interval is at most ``loss`` to each side, were all images as these are."""
    wide, fine = 0, 1
    while fine < MOST and _interval(fine, mean, square)[1] > loss:
        wide, fine = fine, 2 * fine
    while fine - wide > 1:
        between = (wide + fine) // 2
        if _interval(between, mean, square)[1] > loss:
            wide = between
        else:
            fine = between
    return fine
