"""Places labels on an image: near what they name, inside the image, and never over each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import BoolMask, Box

_MARGIN = 2  # pixels between two labels
_HIDING = 4.0  # label heights that a label moves away rather than cover a small thing entirely
_ALIGNMENT = 0.05  # weight of the preferred side, above the left corner, against the distance

_Rows = NDArray[np.float64]


@dataclass(frozen=True)
class LabelRequest:
    """A label that wants a place.

    Attributes:
        size: (width, height) of its plate in pixels.
        box: (x_min, y_min, x_max, y_max) of what it names, in pixels, maxima exclusive.
        anchor: (x, y) in pixels of a point inside what it names, well away from the borders.
        inside: Place it on what it names, around the anchor; False places it beside the box.
    """

    size: tuple[int, int]
    box: Box
    anchor: tuple[int, int]
    inside: bool = False


@dataclass(frozen=True)
class PlacedLabel:
    """The place of a label.

    Attributes:
        box: (x_min, y_min, x_max, y_max) of its plate in pixels, maxima exclusive.
        leader: The plate's pixel nearest to the anchor, and the anchor, where the plate had to go so far
            away that a line must connect them.
    """

    box: Box
    leader: tuple[tuple[int, int], tuple[int, int]] | None = None


def place_labels(
    requests: Sequence[LabelRequest], small_things: BoolMask, taken: Sequence[Box] = ()
) -> list[PlacedLabel | None]:
    """Finds the cheapest free place for one label after the other.

    A place costs its distance to what it names, and more where it covers small things.

    Args:
        requests: The labels; earlier ones choose first.
        small_things: (H, W) bool, pixels that labels should not cover.
        taken: Boxes that no label may touch.

    Returns:
        A place for each request, or None where nothing of its size is free.
    """
    sums = np.asarray(cv2.integral(small_things.astype(np.uint8)), np.int32)
    occupied = [*taken]
    placed: list[PlacedLabel | None] = []
    for request in requests:
        label = _place(request, sums, occupied)
        if label is not None:
            occupied.append(label.box)
        placed.append(label)
    return placed


def _place(request: LabelRequest, sums: NDArray[np.int32], occupied: Sequence[Box]) -> PlacedLabel | None:
    places = _candidates(request, (sums.shape[1] - 1, sums.shape[0] - 1))
    for x0, y0, x1, y1 in occupied:
        apart = (
            (places[:, 0] >= x1 + _MARGIN)
            | (places[:, 2] <= x0 - _MARGIN)
            | (places[:, 1] >= y1 + _MARGIN)
            | (places[:, 3] <= y0 - _MARGIN)
        )
        places = places[apart]
    if not len(places):
        return None
    width, height = request.size
    away = _distance(request, places)
    left, top, right, bottom = places.T
    hidden = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
    best = int(np.argmin(away + _HIDING * height * hidden / (width * height)))
    x0, y0, x1, y1 = (int(value) for value in places[best])
    leader = None
    if _gaps(places[best : best + 1], request.box)[0] > height:
        x, y = request.anchor
        leader = (int(np.clip(x, x0, x1 - 1)), int(np.clip(y, y0, y1 - 1))), (x, y)
    return PlacedLabel((x0, y0, x1, y1), leader)


def _candidates(request: LabelRequest, image_size: tuple[int, int]) -> NDArray[np.int64]:
    """(n, 4) boxes inside the image: a grid, and those that align with the thing."""
    (width, height), (x0, y0, x1, y1), (x, y) = request.size, request.box, request.anchor
    step = max(2, height)
    columns = [x0, x1 - width, x0 - width, x1, x - width // 2]
    rows = [y0 - height, y1, y0, y1 - height, y - height // 2]
    lefts = np.array([*range(0, image_size[0] - width + 1, step), *columns], np.int64)
    tops = np.array([*range(0, image_size[1] - height + 1, step), *rows], np.int64)
    lefts = np.unique(lefts[(lefts >= 0) & (lefts + width <= image_size[0])])
    tops = np.unique(tops[(tops >= 0) & (tops + height <= image_size[1])])
    left, top = (values.ravel() for values in np.meshgrid(lefts, tops))
    return np.stack([left, top, left + width, top + height], axis=1)


def _distance(request: LabelRequest, places: NDArray[np.int64]) -> _Rows:
    """(n,) pixels from each place to where the label would best be."""
    width, height = request.size
    if request.inside:
        wanted, gaps = request.anchor, np.zeros(len(places))
        weight = 1.0
    else:
        wanted = request.box[0] + width // 2, request.box[1] - height // 2
        gaps, weight = _gaps(places, request.box), _ALIGNMENT
    centres = (places[:, :2] + places[:, 2:]) / 2
    return gaps + weight * np.hypot(centres[:, 0] - wanted[0], centres[:, 1] - wanted[1])


def _gaps(places: NDArray[np.int64], box: Box) -> _Rows:
    """(n,) pixels between each place and a box; 0 where they touch."""
    x0, y0, x1, y1 = box
    across = np.maximum(0, np.maximum(x0 - places[:, 2], places[:, 0] - x1))
    down = np.maximum(0, np.maximum(y0 - places[:, 3], places[:, 1] - y1))
    return np.asarray(np.hypot(across, down), np.float64)
