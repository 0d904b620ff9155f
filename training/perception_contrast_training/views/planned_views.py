"""Views as a plan of looks, so that they can be made here or, from the same draws, on another device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
import torchvision.transforms.v2.functional as tv
from torch import Tensor
from torchvision.transforms import InterpolationMode

from perception_contrast_training.views.batch import DRAWS, SOURCES, VIEWED, padded
from perception_contrast_training.views.random_source import RandomSource
from perception_contrast_training.views.view_transform import ViewTransform

MOST_SIDE = 1024
"""Pixels of the longer side that goes to another device; a larger image is shrunk to it first."""


class Look(NamedTuple):
    """transform: what is done. partner: whether it shows the partner, where there is one."""

    transform: ViewTransform
    partner: bool = False


class PlannedViews:
    """Views of an image by their names in the batch, in the order in which chance is drawn.

    Attributes:
        looks: Those of each name; several of a name in VIEWED, else one.
    """

    def __init__(self, looks: Mapping[str, Sequence[Look]]) -> None:
        self.looks = {name: tuple(ones) for name, ones in looks.items() if ones}

    def __call__(
        self, image: Tensor, generator: torch.Generator, partner: Tensor | None = None
    ) -> dict[str, Tensor]:
        """As ``PairedViews``."""
        chance, second = RandomSource(generator), image if partner is None else partner
        made = {
            name: [one.transform.of(second if one.partner else image, chance) for one in ones]
            for name, ones in self.looks.items()
        }
        views = {name: torch.stack(ones) if name in VIEWED else ones[0] for name, ones in made.items()}
        return {**views, **self.also(chance)}

    def draw(
        self, image: Tensor, generator: torch.Generator, partner: Tensor | None = None
    ) -> dict[str, Tensor]:
        """The same draws without the pixels.

        Returns:
            SOURCES (s, 3, h, w) uint8, the image and its partner, if there is one, of whatever sizes; DRAWS
            and a name: (v, COLUMNS), a row for each view of that name; and what ``also`` makes.
        """
        chance, shown = RandomSource(generator), [bounded(image)]
        if partner is not None:
            shown.append(bounded(partner))
        rows: dict[str, Tensor] = {}
        for name, ones in self.looks.items():
            numbers = [int(one.partner and partner is not None) for one in ones]
            drawn = [
                one.transform.draw(shown[k].shape[-2], shown[k].shape[-1], chance).row(k)
                for one, k in zip(ones, numbers, strict=True)
            ]
            rows[DRAWS + name] = torch.stack(drawn)
        return {SOURCES: padded(shown), **rows, **self.also(chance)}

    def also(self, chance: RandomSource) -> dict[str, Tensor]:
        """What a method takes beside views, drawn after them: masks, noise."""
        return {}


def bounded(image: Tensor) -> Tensor:
    """(3, h, w) uint8 with sides of MOST_SIDE at most."""
    h, w = image.shape[-2:]
    scale = MOST_SIDE / max(h, w)
    if scale >= 1:
        return image
    shape = [max(1, round(h * scale)), max(1, round(w * scale))]
    small: Tensor = tv.resize(image, shape, InterpolationMode.BICUBIC, antialias=True)
    return small
