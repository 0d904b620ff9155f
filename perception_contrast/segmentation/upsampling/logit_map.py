"""A query's logits over an image: coarse everywhere, in full resolution only where they are read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perception_contrast.core.arrays import Box, FloatArray
from perception_contrast.segmentation.upsampling.bilinear import upsample_window


@dataclass(frozen=True)
class LogitMap:
    """Logits of one query, with what full resolution is computed from.

    Full resolution is ``slope * guide + offset``, slope and offset upsampled bilinearly. Without a
    slope it is ``offset``, which then has full resolution itself.

    Attributes:
        box: coarse pixels of the image that the map covers; elsewhere logits are low.
        coarse: (h, w) float32 logits of ``box``.
        guide: (fine height, fine width) float32 of the whole image.
        factor: fine pixels per coarse pixel, along each side.
        offset: (h, w) float32 of ``box``.
        slope: (h, w) float32 of ``box``, or None.
    """

    box: Box
    coarse: FloatArray
    guide: FloatArray
    factor: int
    offset: FloatArray
    slope: FloatArray | None = None

    def slices(self, box: Box) -> tuple[slice, slice]:
        """Rows and columns of ``coarse`` under a box of coarse pixels of the image."""
        left, top = self.box[:2]
        return slice(box[1] - top, box[3] - top), slice(box[0] - left, box[2] - left)

    def fine(self, box: Box) -> FloatArray:
        """Logits of the fine pixels under a box of coarse pixels of the image, within the map's box."""
        x0, y0, x1, y1 = (side * self.factor for side in box)
        left, top = self.box[:2]
        inner = (box[0] - left, box[1] - top, box[2] - left, box[3] - top)
        if self.slope is None:
            x, y = left * self.factor, top * self.factor
            return self.offset[y0 - y : y1 - y, x0 - x : x1 - x]
        slope, offset = (upsample_window(values, inner, self.factor) for values in (self.slope, self.offset))
        np.multiply(slope, self.guide[y0:y1, x0:x1], out=slope)
        return np.add(slope, offset, out=slope)
