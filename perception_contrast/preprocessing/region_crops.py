"""Squares of an image, enlarged: what is seen when one thing fills the view."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import FloatArray, FloatBox

MARGIN = 1.3  # of the view's side over the thing's longer side
SIZES, PLACES = 4, 8  # of steady views: sizes to a doubling, places to a side
OVERSAMPLING = 4  # samples of a mask to a side of a cell
LEAST = 32  # pixels of the source that a view shows at least


@dataclass(frozen=True)
class View:
    """A square of an image. x, y: its left and top, pixels of the image, also outside of it."""

    x: float
    y: float
    side: float


def view_of(box: FloatBox, margin: float = MARGIN) -> View:
    """The square around a box (x_min, y_min, x_max, y_max), whose longer side it is ``margin`` times."""
    x0, y0, x1, y1 = box
    side = max(margin * max(x1 - x0, y1 - y0), float(LEAST))
    return View((x0 + x1 - side) / 2, (y0 + y1 - side) / 2, side)


def steady(view: View) -> View:
    """The view of a few steps of size and place that is nearest and not smaller.

    Regions that differ by little are seen by the same view, whichever of them there are.
    """
    side = 2.0 ** (np.ceil(SIZES * np.log2(view.side)) / SIZES)
    step = side / PLACES
    middle = view.x + view.side / 2, view.y + view.side / 2
    x, y = (round((m - side / 2) / step) * step for m in middle)
    return View(float(x), float(y), float(side))


def enlarged(image: NDArray[np.uint8], view: View, side: int) -> NDArray[np.uint8]:
    """(side, side, 3) of what a view shows of (H, W, 3); beyond the image its edge goes on."""
    scale = side / view.side
    if scale >= 1.0:
        return np.asarray(_warped(image, view, (scale, scale), side, cv2.INTER_CUBIC, cv2.BORDER_REPLICATE))
    # What shrinks is averaged, so that nothing between two samples is lost.
    height, width = image.shape[:2]
    x0, y0, x1, y1 = (round(v) for v in (view.x, view.y, view.x + view.side, view.y + view.side))
    inside = image[max(y0, 0) : min(y1, height), max(x0, 0) : min(x1, width)]
    around = max(-y0, 0), max(y1 - height, 0), max(-x0, 0), max(x1 - width, 0)
    whole = cv2.copyMakeBorder(inside, *around, cv2.BORDER_REPLICATE)
    return np.asarray(cv2.resize(whole, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def coverage(mask: NDArray[np.bool_], box: FloatBox, view: View, cells: int) -> FloatArray:
    """(cells, cells): how much of each cell of a view is covered. mask: of a box, at any resolution."""
    across, down = mask.shape[1] / (box[2] - box[0]), mask.shape[0] / (box[3] - box[1])
    moved = View((view.x - box[0]) * across, (view.y - box[1]) * down, view.side)
    fine = OVERSAMPLING * cells
    scale = fine / view.side / across, fine / view.side / down
    values = mask.astype(np.float32)
    drawn = _warped(values, moved, scale, fine, cv2.INTER_LINEAR, cv2.BORDER_CONSTANT)
    return np.asarray(cv2.resize(drawn, (cells, cells), interpolation=cv2.INTER_AREA), np.float32)


def _warped(
    image: NDArray[Any], view: View, scale: tuple[float, float], side: int, method: int, border: int
) -> NDArray[Any]:
    # Pixel centres lie at halves.
    shift = [(0.5 - start) * factor - 0.5 for start, factor in zip((view.x, view.y), scale, strict=True)]
    matrix = np.array([[scale[0], 0.0, shift[0]], [0.0, scale[1], shift[1]]])
    return np.asarray(cv2.warpAffine(image, matrix, (side, side), flags=method, borderMode=border))


def form_of(box: FloatBox, share: float) -> tuple[float, float]:
    """What ``Pooled.form`` holds of a region."""
    height, width = max(box[3] - box[1], 1.0), max(box[2] - box[0], 1.0)
    return float(np.log10(max(share, 1e-6))), float(np.log(height / width))
