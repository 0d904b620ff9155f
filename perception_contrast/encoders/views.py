"""Squares of a picture, enlarged: what is seen when one thing fills the view."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Box = tuple[float, float, float, float]  # x_min, y_min, x_max, y_max in pixels, max exclusive
MARGIN = 1.3  # of the view's side over the thing's longer side
LEAST = 32  # pixels of the source that a view shows at least


@dataclass(frozen=True)
class View:
    """A square of a picture. x, y: its left and top, pixels of the picture, also outside of it."""

    x: float
    y: float
    side: float


def view_of(box: Box, margin: float = MARGIN) -> View:
    """The square around a box (x_min, y_min, x_max, y_max), whose longer side it is ``margin`` times."""
    x0, y0, x1, y1 = box
    side = max(margin * max(x1 - x0, y1 - y0), float(LEAST))
    return View((x0 + x1 - side) / 2, (y0 + y1 - side) / 2, side)


def enlarged(image: NDArray[np.uint8], view: View, side: int) -> NDArray[np.uint8]:
    """(side, side, 3) of what a view shows of (H, W, 3); beyond the picture its edge goes on."""
    return _cut(image, view, side, cv2.BORDER_REPLICATE, cv2.INTER_CUBIC)


def coverage(mask: NDArray[np.bool_], view: View, cells: int) -> Array:
    """(cells, cells) share of each cell of a view that a mask (H, W) covers."""
    fine = _cut(mask.astype(np.uint8) * 255, view, 4 * cells, cv2.BORDER_CONSTANT, cv2.INTER_LINEAR)
    return cv2.resize(fine, (cells, cells), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def _cut(image: NDArray[np.uint8], view: View, side: int, border: int, enlarging: int) -> NDArray[np.uint8]:
    """A view of a picture; what shrinks is averaged, so that nothing between two samples is lost."""
    scale = side / view.side
    if scale < 1.0:
        height, width = image.shape[:2]
        x0, y0 = round(view.x), round(view.y)
        x1, y1 = max(round(view.x + view.side), x0 + 1), max(round(view.y + view.side), y0 + 1)
        inside = image[max(y0, 0) : min(y1, height), max(x0, 0) : min(x1, width)]
        around = max(-y0, 0), max(y1 - height, 0), max(-x0, 0), max(x1 - width, 0)
        whole = cv2.copyMakeBorder(inside, *around, border, value=0)
        return np.asarray(cv2.resize(whole, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
    # Pixel centres lie at halves.
    shift = (-view.x + 0.5) * scale - 0.5, (-view.y + 0.5) * scale - 0.5
    matrix = np.array([[scale, 0.0, shift[0]], [0.0, scale, shift[1]]])
    return np.asarray(
        cv2.warpAffine(image, matrix, (side, side), flags=enlarging, borderMode=border), np.uint8
    )


def form_of(box: Box, share: float) -> tuple[float, float]:
    """What ``Pooled.form`` holds of a region."""
    height, width = max(box[3] - box[1], 1.0), max(box[2] - box[0], 1.0)
    return float(np.log10(max(share, 1e-6))), float(np.log(height / width))
