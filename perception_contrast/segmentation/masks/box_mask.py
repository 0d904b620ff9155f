"""A mask that is stored for its box alone."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from perception_contrast.core.arrays import BoolMask, Box


class BoxMask(NamedTuple):
    """A box, and the mask (h, w) of its pixels."""

    box: Box
    mask: BoolMask


def tight_box_mask(box: Box, mask: BoolMask) -> BoxMask | None:
    """Box and mask cut down to the mask's pixels; None without any."""
    left, top, wide, high = cv2.boundingRect(mask.view(np.uint8))
    if not wide:
        return None
    x0, y0, _, _ = box
    tight = (x0 + left, y0 + top, x0 + left + wide, y0 + top + high)
    return BoxMask(tight, mask[top : top + high, left : left + wide])
