"""An image that shows a coloured square on white."""

from __future__ import annotations

import numpy as np

HEIGHT, WIDTH = 112, 168
# Columns and rows of the square.
SQUARE = (84, 28, 140, 84)
COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}


def image(colour: str) -> np.ndarray:
    """(112, 168, 3) uint8 RGB: a square of that colour on white."""
    image = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    x0, y0, x1, y1 = SQUARE
    image[y0:y1, x0:x1] = COLOURS[colour]
    return image
