"""What chance chooses for one view of one image, apart from the pixels that it is done to."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

COLUMNS = 18
"""Numbers of a draw as a row: box 4, flip, whether colours change, 4 of them, their order 4, grey, sigma,
solarise, and which image is shown."""


@dataclass(frozen=True)
class Colours:
    """brightness, contrast, saturation: factors. hue: turn of the circle. order: in which they change."""

    brightness: float
    contrast: float
    saturation: float
    hue: float
    order: tuple[int, int, int, int]


@dataclass(frozen=True)
class Draw:
    """One view.

    Attributes:
        box: top, left, height and width of the crop in pixels.
        flip: Whether left and right change places.
        colours: None for those of the image.
        grey: Whether colours go.
        sigma: Of the blur in pixels, 0 for none.
        solarise: Whether bright parts become dark.
    """

    box: tuple[int, int, int, int]
    flip: bool = False
    colours: Colours | None = None
    grey: bool = False
    sigma: float = 0.0
    solarise: bool = False

    def row(self, shown: int = 0) -> Tensor:
        """(COLUMNS,) float64. shown: number of the image among those of its sample."""
        one = self.colours or Colours(1.0, 1.0, 1.0, 0.0, (0, 1, 2, 3))
        changes = (one.brightness, one.contrast, one.saturation, one.hue, *one.order)
        values = (*self.box, self.flip, self.colours is not None, *changes)
        return torch.tensor(
            [float(value) for value in (*values, self.grey, self.sigma, self.solarise, shown)],
            dtype=torch.float64,
        )


class Draws:
    """Rows of ``Draw.row`` (n, COLUMNS), read by what they mean."""

    def __init__(self, rows: Tensor) -> None:
        self.boxes, self.flip, self.jitter = rows[:, :4], rows[:, 4] > 0, rows[:, 5] > 0
        self.colours, self.order = rows[:, 6:10], rows[:, 10:14].long()
        self.grey, self.sigma, self.solarise = rows[:, 14] > 0, rows[:, 15], rows[:, 16] > 0
        self.shown = rows[:, 17].long()
