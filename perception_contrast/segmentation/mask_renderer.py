"""Coarse regions to masks and labels in the pixels of the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import BoolMask, Box, FloatArray
from perception_contrast.core.vocabulary import UNLABELLED
from perception_contrast.images.resize import nearest_pixels, resize_labels
from perception_contrast.segmentation.regions import Region
from perception_contrast.segmentation.upsampling import LogitMap, LogitUpsampler


class MaskRenderer:
    """Draws the regions of one image finely, each where it is and nowhere else.

    Regions of one query do not overlap; those of different queries may, and the stronger logit labels
    the pixel.
    """

    def __init__(self, ground: LogitUpsampler, regions: Sequence[tuple[int, Region]]) -> None:
        """regions: each with the number of its query."""
        self._ground, self._regions = ground, regions
        self._labels: NDArray[np.uint16] | None = None
        self._best: FloatArray | None = None

    def draw(
        self, place: int, plane: LogitMap, low: float, cut: float, number: int
    ) -> tuple[Box, BoolMask] | None:
        """Box in pixels of the image and mask of the box of region number ``place``: what reaches ``low``.

        Labels its pixels that reach ``cut`` with ``number`` where no stronger one has. A cut below ``low``
        asks for more of each thing, not for more things. None for a region without a pixel of the image.
        """
        region = self._regions[place][1]
        box, own, values = self._inside(place, region, plane)
        mask = own & (values >= low)
        drawn = tight(box, mask)
        if cut < low:
            box, own, values = self._inside(place, _widened(region, plane, cut), plane)
        self._paint(box, mask if cut == low else own & (values >= cut), values, number)
        return None if drawn is None else self._in_image(*drawn)

    def _paint(self, box: Box, mask: BoolMask, values: FloatArray, number: int) -> None:
        labels, best = self._paper()
        x0, y0, x1, y1 = box
        window = np.s_[y0:y1, x0:x1]
        wins = (mask & (values > best[window])).view(np.uint8)
        # OpenCV copies under a mask in a third of NumPy's time.
        cv2.copyTo(np.full(wins.shape, number, np.uint16), wins, labels[window])
        cv2.copyTo(values, wins, best[window])

    def _in_image(self, box: Box, mask: BoolMask) -> tuple[Box, BoolMask] | None:
        size, of = self._ground.size, self._ground.fine
        if size == of:
            return box, mask
        # A pixel of the image is the thing's where its nearest fine pixel is.
        x0, y0, x1, y1 = box
        rows, columns = nearest_pixels(of[0], size[0]), nearest_pixels(of[1], size[1])
        top, bottom = (int(v) for v in np.searchsorted(rows, (y0, y1)))
        left, right = (int(v) for v in np.searchsorted(columns, (x0, x1)))
        picked = mask[np.ix_(rows[top:bottom] - y0, columns[left:right] - x0)]
        return tight((left, top, right, bottom), picked)

    def labels(self) -> NDArray[np.uint16]:
        """(H, W) of the image, UNLABELLED where nothing was painted."""
        if self._labels is None:
            return np.full(self._ground.size, UNLABELLED, np.uint16)
        return resize_labels(self._labels, self._ground.size)

    def _paper(self) -> tuple[NDArray[np.uint16], FloatArray]:
        if self._labels is None or self._best is None:
            self._labels = np.full(self._ground.fine, UNLABELLED, np.uint16)
            self._best = np.full(self._ground.fine, -np.inf, np.float32)
        return self._labels, self._best

    def _inside(self, place: int, region: Region, plane: LogitMap) -> tuple[Box, BoolMask, FloatArray]:
        """Fine box around a region, which of its pixels are the region's or its rim's, the plane there."""
        # A fine rim may cross a coarse one, so one coarse pixel more on each side.
        x0, y0, x1, y1 = (
            limit(side, bound)
            for side, bound, limit in zip(
                (region.box[0] - 1, region.box[1] - 1, region.box[2] + 1, region.box[3] + 1),
                plane.box,
                (max, max, min, min),
                strict=True,
            )
        )
        own = self._own(place, region, (x0, y0, x1, y1))
        factor = self._ground.factor
        large = cv2.resize(
            own.view(np.uint8), None, fx=factor, fy=factor, interpolation=cv2.INTER_NEAREST
        ).view(bool)
        box = (x0 * factor, y0 * factor, x1 * factor, y1 * factor)
        return box, large, plane.window((x0, y0, x1, y1))

    def _own(self, place: int, region: Region, box: Box) -> BoolMask:
        """Coarse pixels under a box that are a region's, with its rim, and no other's of its query."""
        own = cv2.dilate(_placed(region, box), np.ones((3, 3), np.uint8))
        query = self._regions[place][0]
        for number, (other, rival) in enumerate(self._regions):
            if other == query and number != place and _meet(rival.box, box):
                own[_placed(rival, box) > 0] = 0
        return np.ascontiguousarray(own > 0)


def _meet(first: Box, second: Box) -> bool:
    return first[0] < second[2] and second[0] < first[2] and first[1] < second[3] and second[1] < first[3]


def _placed(region: Region, box: Box) -> NDArray[np.uint8]:
    """A region's mask as it lies under a box of the same map."""
    x0, y0, x1, y1 = box
    left, top, _, _ = region.box
    under = np.zeros((y1 - y0, x1 - x0), np.uint8)
    part = region.mask[max(0, y0 - top) : y1 - top, max(0, x0 - left) : x1 - left]
    y, x = max(0, top - y0), max(0, left - x0)
    under[y : y + part.shape[0], x : x + part.shape[1]] = part
    return under


def _widened(region: Region, plane: LogitMap, cut: float) -> Region:
    """All that reaches ``cut`` and hangs together with the region."""
    _, numbers = cv2.connectedComponents((plane.coarse >= cut).astype(np.uint8), connectivity=8)
    touched = np.unique(numbers[plane.within(region.box)][region.mask])
    found = tight(plane.box, np.isin(numbers, touched[touched > 0]))
    return region if found is None else replace(region, box=found[0], mask=found[1])


def tight(box: Box, mask: BoolMask) -> tuple[Box, BoolMask] | None:
    """Box and mask cut down to the mask's pixels; None without any."""
    left, top, wide, high = cv2.boundingRect(mask.view(np.uint8))
    if not wide:
        return None
    x0, y0, _, _ = box
    drawn = (x0 + left, y0 + top, x0 + left + wide, y0 + top + high)
    return drawn, mask[top : top + high, left : left + wide]
