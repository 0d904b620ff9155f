"""Logit grids to masks in source pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import Box, FloatArray


def upsampled(grid: FloatArray, size: tuple[int, int]) -> FloatArray:
    """A grid (h, w) that covers a whole image, bilinear, to (height, width). Logits, never features."""
    return np.asarray(cv2.resize(grid, (size[1], size[0]), interpolation=cv2.INTER_LINEAR), np.float32)


class GuidedFilter:
    """Edge-aware smoothing by a grey guide (He et al., "Guided Image Filtering", ECCV 2010).

    The guide's statistics are computed once and serve every map of the same image. With ``every``
    above 1 they, and the local lines, are made of every n-th pixel and interpolated (He and Sun, "Fast
    Guided Filter", 2015); the edges still come from the whole guide.
    """

    def __init__(self, guide: FloatArray, radius: int, epsilon: float = 1e-3, every: int = 1) -> None:
        """guide: (h, w) float32 in [0, 1]. radius: pixels. epsilon: variance below which all is flat."""
        self._guide = guide.astype(np.float32, copy=False)
        size = (max(1, guide.shape[0] // every), max(1, guide.shape[1] // every))
        self._small = self._guide if every == 1 else upsampled(self._guide, size)
        side = 2 * max(1, round(radius / every)) + 1
        self._window = (side, side)
        self._mean = self._blur(self._small)
        # What slopes are divided by: the variance, and epsilon for where all is flat.
        self._spread = self._blur(self._small * self._small) - self._mean * self._mean + np.float32(epsilon)

    def _blur(self, values: FloatArray) -> FloatArray:
        return np.asarray(cv2.blur(values, self._window), np.float32)

    @property
    def guide(self) -> FloatArray:
        """(h, w) float32 in [0, 1]."""
        return self._guide

    @property
    def small(self) -> FloatArray:
        """The guide at the size at which lines are fitted."""
        return self._small

    def lines(self, values: FloatArray, box: Box) -> tuple[FloatArray, FloatArray]:
        """Slope and offset (h, w) under a part of the small guide: smoothed is ``slope * guide + offset``.

        values: of the box (x0, y0, x1, y1) of the small guide.
        """
        x0, y0, x1, y1 = box
        part = np.s_[y0:y1, x0:x1]
        mean, guides = self._blur(values), self._mean[part]
        product = guides * mean
        # Covariance over variance, in the memory of the covariance; then what that leaves of the mean.
        slope = self._blur(self._small[part] * values)
        slope -= product
        slope /= self._spread[part]
        mean -= np.multiply(slope, guides, out=product)
        return self._blur(slope), self._blur(mean)

    def __call__(self, values: FloatArray) -> FloatArray:
        """Smooths a map of any size that covers the guide's image; (h, w) of the guide comes back."""
        size, small = self._guide.shape, self._small.shape
        values = values if values.shape == small else upsampled(values, (small[0], small[1]))
        slope, offset = self.lines(values, (0, 0, small[1], small[0]))
        if slope.shape != size:
            slope, offset = (upsampled(plane, (size[0], size[1])) for plane in (slope, offset))
        return slope * self._guide + offset


@dataclass(frozen=True)
class LogitMap:
    """A map of an image, known coarsely and worked out finely only where it is looked at.

    box: (x0, y0, x1, y1), max exclusive, coarse pixels of the image that the map covers; elsewhere it is
    low. coarse: (h, w) of the box. Finely it is ``slope * guide + offset``, slope and offset (h, w) too,
    interpolated; guide: of the whole image, ``factor`` times finer. Without a slope, it is ``offset``,
    as fine as the guide.
    """

    box: Box
    coarse: FloatArray
    guide: FloatArray
    factor: int
    offset: FloatArray
    slope: FloatArray | None = None

    def within(self, box: Box) -> tuple[slice, slice]:
        """Rows and columns of ``coarse`` under a box of coarse pixels of the image."""
        left, top = self.box[:2]
        return slice(box[1] - top, box[3] - top), slice(box[0] - left, box[2] - left)

    def window(self, box: Box) -> FloatArray:
        """Fine values (H, W) under a box of coarse pixels of the image, which must lie in the map's."""
        x0, y0, x1, y1 = (side * self.factor for side in box)
        left, top = self.box[:2]
        inner = (box[0] - left, box[1] - top, box[2] - left, box[3] - top)
        if self.slope is None:
            x, y = left * self.factor, top * self.factor
            return self.offset[y0 - y : y1 - y, x0 - x : x1 - x]
        slope, offset = (_enlarged(values, inner, self.factor) for values in (self.slope, self.offset))
        np.multiply(slope, self.guide[y0:y1, x0:x1], out=slope)
        return np.add(slope, offset, out=slope)


def _enlarged(values: FloatArray, box: Box, factor: int) -> FloatArray:
    """What ``upsampled`` by a factor gives under a box, without the rest of it."""
    x0, y0, x1, y1 = box
    if factor == 1:
        return values[y0:y1, x0:x1].copy()
    # One pixel more on each side, so that the rim is interpolated as it is in the whole.
    left, top = max(0, x0 - 1), max(0, y0 - 1)
    around = values[top : y1 + 1, left : x1 + 1]
    large = upsampled(around, (around.shape[0] * factor, around.shape[1] * factor))
    y, x = (y0 - top) * factor, (x0 - left) * factor
    return large[y : y + (y1 - y0) * factor, x : x + (x1 - x0) * factor]


class LogitUpsampler:
    """An image at the sizes at which it is searched: coarse for where things are, fine for their masks.

    size: the image's (height, width). coarse: (h, w), and each of its pixels is ``factor`` fine ones a
    side. Of an image that is larger than ``longest`` a side, fine pixels are larger than its own.
    """

    def __init__(
        self, image: NDArray[np.uint8], grid: tuple[int, int], *, refine: bool = True, longest: int = 640
    ) -> None:
        """image: (H, W, 3) uint8 RGB. grid: rows and columns of the maps that will be looked at."""
        self.size = (int(image.shape[0]), int(image.shape[1]))
        self.grid = grid
        scale = min(1.0, longest / max(self.size))
        wanted = [max(1, round(side * scale)) for side in self.size]
        # Coarse pixels are at most half a cell: what the cells show is not lost, and little is done twice.
        most = max(1, min(4, *(w // (2 * g) for w, g in zip(wanted, grid, strict=True))))
        even = [f for f in range(most, 1, -1) if wanted[0] % f == 0 and wanted[1] % f == 0]
        self.factor = even[0] if even else most
        rows, columns = (max(1, round(side / self.factor)) for side in wanted)
        self.coarse = (rows, columns)
        self.fine = (rows * self.factor, columns * self.factor)
        self._radius = max(1, round(0.75 * columns / grid[1]))
        self._filter = self._guided(image) if refine else None

    def _guided(self, image: NDArray[np.uint8]) -> GuidedFilter:
        grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
        if grey.shape != self.fine:
            grey = cv2.resize(grey, self.fine[::-1], interpolation=cv2.INTER_AREA)
        guide = np.multiply(grey, np.float32(1 / 255), dtype=np.float32)
        return GuidedFilter(guide, self._radius * self.factor, every=self.factor)

    def plane(self, grid: FloatArray, low: float = -np.inf) -> LogitMap:
        """A map (rows, columns) of ``grid`` laid over the image, along its edges where it is refined.

        Only as much of it as can reach ``low`` anywhere, and a rim.
        """
        x0, y0, x1, y1 = box = self._reach(grid >= low)
        values = upsampled(grid, self.coarse)[y0:y1, x0:x1]
        if self._filter is None:
            whole = upsampled(grid, self.fine)
            fine = [side * self.factor for side in box]
            part = whole[fine[1] : fine[3], fine[0] : fine[2]]
            return LogitMap(box, values, whole, self.factor, part)
        slope, offset = self._filter.lines(values, box)
        smoothed = slope * self._filter.small[y0:y1, x0:x1] + offset
        return LogitMap(box, smoothed, self._filter.guide, self.factor, offset, slope)

    def _reach(self, cells: NDArray[np.bool_]) -> Box:
        """Coarse pixels around cells (h, w), as wide as smoothing can carry them; all of them for none."""
        rows, columns = self.coarse
        left, top, wide, high = cv2.boundingRect(cells.view(np.uint8))
        if not wide:
            return (0, 0, columns, rows)
        down, across = rows / self.grid[0], columns / self.grid[1]
        rim = 2 * self._radius + 1
        return (
            max(0, math.floor((left - 1) * across - rim)),
            max(0, math.floor((top - 1) * down - rim)),
            min(columns, math.ceil((left + wide + 1) * across + rim)),
            min(rows, math.ceil((top + high + 1) * down + rim)),
        )
