"""Pictures that a demo keeps: overlays with labels and scores written in, and feature pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..cache import atomic_write
from .report import Seen

Picture = NDArray[np.uint8]
_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)


def colour_of(label: str) -> tuple[int, int, int]:
    """A bright RGB colour that is always the same for one label."""
    hue = sum((i + 1) * ord(letter) for i, letter in enumerate(label)) * 37 % 180
    red, green, blue = cv2.cvtColor(np.full((1, 1, 3), (hue, 200, 255), np.uint8), cv2.COLOR_HSV2RGB)[0, 0]
    return int(red), int(green), int(blue)


def annotated(picture: Picture, seen: Sequence[Seen]) -> Picture:
    """A copy of an RGB picture with a box and "label score" for each detection."""
    drawn = np.ascontiguousarray(picture).copy()
    height, width = drawn.shape[:2]
    scale = max(height / 960, 0.4)
    for one in sorted(seen, key=lambda s: s.score):
        x0, y0, x1, y1 = (round(edge) for edge in one.box)
        colour = colour_of(one.label)
        cv2.rectangle(drawn, (x0, y0), (max(x1 - 1, x0), max(y1 - 1, y0)), colour, 2)
        text = f"{one.label} {one.score:.2f}"
        (wide, high), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
        left = min(max(x0, 0), max(width - wide, 0))
        base = y0 - below if y0 - high - below >= 0 else min(y0 + high + below, height - 1)
        cv2.rectangle(drawn, (left, base - high - 1), (left + wide, base + below), colour, -1)
        ink = _BLACK if sum(colour) > 380 else _WHITE
        cv2.putText(drawn, text, (left, base), cv2.FONT_HERSHEY_SIMPLEX, scale, ink, 1, cv2.LINE_AA)
    return drawn


def save_png(path: Path, picture: Picture) -> None:
    """Writes an RGB picture so that no reader sees a part of it; makes the folder."""
    good, encoded = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    if not good:
        raise OSError(f"{path}: cannot encode a picture of shape {picture.shape} as PNG")
    atomic_write(path, encoded.tobytes())
