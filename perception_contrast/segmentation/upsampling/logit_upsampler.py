"""Upsamples logit grids to the pixels of an image, along the image's edges."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import BoolMask, Box, FloatArray, Size
from perception_contrast.segmentation.upsampling.bilinear import upsample_bilinear
from perception_contrast.segmentation.upsampling.guided_filter import GuidedFilter
from perception_contrast.segmentation.upsampling.logit_map import LogitMap

MAX_FACTOR = 4  # fine pixels per coarse pixel


class LogitUpsampler:
    """One image at two resolutions: coarse pixels hold regions, fine pixels hold their masks.

    Attributes:
        image_size: (height, width) of the image.
        grid_size: rows and columns of the logit grids.
        coarse_size: (height, width) of the coarse map.
        fine_size: (height, width) of the fine map, smaller than the image where that exceeds ``longest``.
        factor: fine pixels per coarse pixel, along each side.
    """

    def __init__(
        self, image: NDArray[np.uint8], grid_size: Size, *, refine: bool = True, longest: int = 640
    ) -> None:
        """Chooses both resolutions and, to refine, computes the guided filter's statistics.

        Args:
            image: (H, W, 3) uint8 RGB.
            grid_size: rows and columns of the logit grids.
            refine: whether logits follow the image's edges; else they are upsampled bilinearly.
            longest: most fine pixels along a side.
        """
        self.image_size = (int(image.shape[0]), int(image.shape[1]))
        self.grid_size = grid_size
        scale = min(1.0, longest / max(self.image_size))
        wanted = [max(1, round(side * scale)) for side in self.image_size]
        # Coarse pixels are at most half a cell: fine enough for the cells, and few.
        most = max(1, min(MAX_FACTOR, *(w // (2 * g) for w, g in zip(wanted, grid_size, strict=True))))
        even = [f for f in range(most, 1, -1) if wanted[0] % f == 0 and wanted[1] % f == 0]
        self.factor = even[0] if even else most
        rows, columns = (max(1, round(side / self.factor)) for side in wanted)
        self.coarse_size = (rows, columns)
        self.fine_size = (rows * self.factor, columns * self.factor)
        self._radius = max(1, round(0.75 * columns / grid_size[1]))
        self._filter = self._guided_filter(image) if refine else None

    def _guided_filter(self, image: NDArray[np.uint8]) -> GuidedFilter:
        grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
        if grey.shape != self.fine_size:
            grey = cv2.resize(grey, self.fine_size[::-1], interpolation=cv2.INTER_AREA)
        guide = grey.astype(np.float32)
        guide *= np.float32(1 / 255)
        return GuidedFilter(guide, self._radius * self.factor, subsampling=self.factor)

    def upsample(self, logits: FloatArray, low: float = -np.inf) -> LogitMap:
        """Upsamples one query's logits.

        Args:
            logits: (rows, columns) of ``grid_size``.
            low: only the part of the image that can reach this logit is computed, with a rim.
        """
        x0, y0, x1, y1 = box = self._reach(logits >= low)
        values = upsample_bilinear(logits, self.coarse_size)[y0:y1, x0:x1]
        if self._filter is None:
            whole = upsample_bilinear(logits, self.fine_size)
            left, top, right, bottom = (side * self.factor for side in box)
            return LogitMap(box, values, whole, self.factor, whole[top:bottom, left:right])
        slope, offset = self._filter.linear_model(values, box)
        smoothed = slope * self._filter.small_guide[y0:y1, x0:x1] + offset
        return LogitMap(box, smoothed, self._filter.guide, self.factor, offset, slope)

    def _reach(self, cells: BoolMask) -> Box:
        """Box of coarse pixels that smoothing can carry cells (h, w) to; the whole map without cells."""
        rows, columns = self.coarse_size
        left, top, wide, high = cv2.boundingRect(cells.view(np.uint8))
        if not wide:
            return (0, 0, columns, rows)
        down, across = rows / self.grid_size[0], columns / self.grid_size[1]
        rim = 2 * self._radius + 1
        return (
            max(0, math.floor((left - 1) * across - rim)),
            max(0, math.floor((top - 1) * down - rim)),
            min(columns, math.ceil((left + wide + 1) * across + rim)),
            min(rows, math.ceil((top + high + 1) * down + rim)),
        )
