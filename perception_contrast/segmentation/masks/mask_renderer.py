"""Renders the regions of one image to masks and to the label image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import BoolMask, Box, FloatArray
from perception_contrast.core.vocabulary import UNLABELLED
from perception_contrast.images.resize import nearest_pixels, resize_labels
from perception_contrast.segmentation.masks.box_mask import BoxMask, tight_box_mask
from perception_contrast.segmentation.regions.region import QueryRegion, Region
from perception_contrast.segmentation.upsampling.logit_map import LogitMap
from perception_contrast.segmentation.upsampling.logit_upsampler import LogitUpsampler


class _LabelImage(NamedTuple):
    """Labels (H, W) of fine pixels, and the logit (H, W) that each was given for."""

    labels: NDArray[np.uint16]
    logits: FloatArray


class _FineWindow(NamedTuple):
    """A box of fine pixels, which of them may be the region's, and their logits; both (h, w)."""

    box: Box
    mask: BoolMask
    logits: FloatArray


class MaskRenderer:
    """Draws regions in fine pixels, each within its coarse pixels and a rim of one.

    Regions of one query do not overlap; those of different queries may, and the higher logit labels
    the pixel.
    """

    def __init__(self, upsampler: LogitUpsampler, regions: Sequence[QueryRegion]) -> None:
        """Takes all regions that will be drawn, in coarse pixels of the upsampler."""
        self._upsampler, self._regions = upsampler, regions
        self._image: _LabelImage | None = None

    def draw(
        self, index: int, logit_map: LogitMap, low: float, label_from: float, label: int
    ) -> BoxMask | None:
        """Draws one region and labels its pixels where no higher logit has.

        Args:
            index: of the region.
            logit_map: of its query.
            low: logit from which a pixel belongs to the detection's mask.
            label_from: logit from which a pixel is labelled. Below ``low`` it enlarges the region, and
                adds none.
            label: id for the label image.

        Returns:
            The detection's mask in pixels of the image; None for a region without any.
        """
        region = self._regions[index].region
        box, own, logits = self._fine_window(index, region, logit_map)
        mask = own & (logits >= low)
        drawn = tight_box_mask(box, mask)
        if label_from < low:
            enlarged = _enlarged_to(region, logit_map, label_from)
            box, own, logits = self._fine_window(index, enlarged, logit_map)
        self._label(box, mask if label_from == low else own & (logits >= label_from), logits, label)
        return None if drawn is None else self._to_image(drawn)

    def label_image(self) -> NDArray[np.uint16]:
        """(H, W) uint16 of the image's size, UNLABELLED where nothing was drawn."""
        if self._image is None:
            return np.full(self._upsampler.image_size, UNLABELLED, np.uint16)
        return resize_labels(self._image.labels, self._upsampler.image_size)

    def _label(self, box: Box, mask: BoolMask, logits: FloatArray, label: int) -> None:
        if self._image is None:
            size = self._upsampler.fine_size
            self._image = _LabelImage(
                np.full(size, UNLABELLED, np.uint16), np.full(size, -np.inf, np.float32)
            )
        labels, best = self._image
        x0, y0, x1, y1 = box
        window = np.s_[y0:y1, x0:x1]
        wins = (mask & (logits > best[window])).view(np.uint8)
        # OpenCV copies under a mask in a third of NumPy's time.
        cv2.copyTo(np.full(wins.shape, label, np.uint16), wins, labels[window])
        cv2.copyTo(logits, wins, best[window])

    def _to_image(self, drawn: BoxMask) -> BoxMask | None:
        """Fine pixels to pixels of the image: each belongs where its nearest fine pixel does."""
        size, fine = self._upsampler.image_size, self._upsampler.fine_size
        if size == fine:
            return drawn
        x0, y0, x1, y1 = drawn.box
        rows, columns = nearest_pixels(fine[0], size[0]), nearest_pixels(fine[1], size[1])
        top, bottom = (int(v) for v in np.searchsorted(rows, (y0, y1)))
        left, right = (int(v) for v in np.searchsorted(columns, (x0, x1)))
        picked = drawn.mask[np.ix_(rows[top:bottom] - y0, columns[left:right] - x0)]
        return tight_box_mask((left, top, right, bottom), picked)

    def _fine_window(self, index: int, region: Region, logit_map: LogitMap) -> _FineWindow:
        # A fine rim may cross a coarse one, so one coarse pixel more on each side.
        x0, y0, x1, y1 = (
            limit(side, bound)
            for side, bound, limit in zip(
                (region.box[0] - 1, region.box[1] - 1, region.box[2] + 1, region.box[3] + 1),
                logit_map.box,
                (max, max, min, min),
                strict=True,
            )
        )
        own = self._own_pixels(index, region, (x0, y0, x1, y1))
        factor = self._upsampler.factor
        fine = cv2.resize(
            own.view(np.uint8), None, fx=factor, fy=factor, interpolation=cv2.INTER_NEAREST
        ).view(bool)
        box = (x0 * factor, y0 * factor, x1 * factor, y1 * factor)
        return _FineWindow(box, fine, logit_map.fine((x0, y0, x1, y1)))

    def _own_pixels(self, index: int, region: Region, box: Box) -> BoolMask:
        """Coarse pixels of a box that are a region's or its rim's, and of no other region of its query."""
        own = cv2.dilate(_mask_in(region, box), np.ones((3, 3), np.uint8))
        query = self._regions[index].query
        for number, other in enumerate(self._regions):
            if other.query == query and number != index and _intersect(other.region.box, box):
                own[_mask_in(other.region, box) > 0] = 0
        return np.ascontiguousarray(own > 0)


def _intersect(first: Box, second: Box) -> bool:
    return first[0] < second[2] and second[0] < first[2] and first[1] < second[3] and second[1] < first[3]


def _mask_in(region: Region, box: Box) -> NDArray[np.uint8]:
    """A region's mask in another box of the same map."""
    x0, y0, x1, y1 = box
    left, top, _, _ = region.box
    placed = np.zeros((y1 - y0, x1 - x0), np.uint8)
    part = region.mask[max(0, y0 - top) : y1 - top, max(0, x0 - left) : x1 - left]
    y, x = max(0, top - y0), max(0, left - x0)
    placed[y : y + part.shape[0], x : x + part.shape[1]] = part
    return placed


def _enlarged_to(region: Region, logit_map: LogitMap, low: float) -> Region:
    """All coarse pixels from ``low`` on that are connected with the region."""
    _, numbers = cv2.connectedComponents((logit_map.coarse >= low).astype(np.uint8), connectivity=8)
    touched = np.unique(numbers[logit_map.slices(region.box)][region.mask])
    found = tight_box_mask(logit_map.box, np.isin(numbers, touched[touched > 0]))
    return region if found is None else replace(region, box=found.box, mask=found.mask)
