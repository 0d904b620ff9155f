"""Agreement of outlines: the boundary F measure of DAVIS (Perazzi et al., CVPR 2016).

The share of one mask's outline that lies within a tolerance of the other's, both ways, as a harmonic mean.
For semantic classes the same figure is the BF score of Csurka et al. (BMVC 2013).
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
BOUND = 0.008  # of the image's diagonal


def tolerance(size: tuple[int, int], bound: float = BOUND) -> int:
    """Pixels within which outlines agree: ``bound`` of the diagonal of (height, width), rounded up."""
    return math.ceil(bound * math.hypot(*size))


def outline(mask: Mask) -> Mask:
    """Pixels (H, W) that differ from their right, lower or lower right neighbour, as DAVIS takes them."""
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    here, right = padded[:-1, :-1], padded[:-1, 1:]
    below, diagonal = padded[1:, :-1], padded[1:, 1:]
    return np.asarray((here ^ right) | (here ^ below) | (here ^ diagonal))


def boundary_f(truth: Mask, predicted: Mask, bound: float = BOUND, ignored: Mask | None = None) -> float:
    """F of two masks (H, W); 1 if neither has an outline, 0 if only one has.

    ignored: (H, W), no outline is looked for there or one pixel from it.
    """
    lines = [outline(truth), outline(predicted)]
    if ignored is not None and ignored.any():
        near = _dilated(ignored, 1)
        lines = [line & ~near for line in lines]
    counts = [int(line.sum()) for line in lines]
    if 0 in counts:
        return float(counts[0] == counts[1])
    reach = tolerance((truth.shape[0], truth.shape[1]), bound)
    recall = float((lines[0] & _dilated(lines[1], reach)).sum()) / counts[0]
    precision = float((lines[1] & _dilated(lines[0], reach)).sum()) / counts[1]
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _dilated(mask: Mask, radius: int) -> Mask:
    """Grown by a disk of ``radius`` pixels."""
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    disk = (x * x + y * y <= radius * radius).astype(np.uint8)
    return np.asarray(cv2.dilate(mask.astype(np.uint8), disk) > 0)
