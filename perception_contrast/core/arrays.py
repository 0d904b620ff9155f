"""Names of the arrays and tuples that every room passes on: images, masks, depth, boxes, sizes.

The names state shape, dtype and unit for readers; mypy checks the dtype alone.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

RgbImage: TypeAlias = NDArray[np.uint8]
"""(H, W, 3) uint8, RGB."""

DepthImage: TypeAlias = NDArray[np.float32]
"""(H, W) float32, metres along the optical axis (REP 118); NaN where there is none."""

BoolMask: TypeAlias = NDArray[np.bool_]
"""(H, W) bool, True where a thing is."""

LabelMask: TypeAlias = NDArray[np.uint16]
"""(H, W) uint16, ids of ``Vocabulary.ids``; ``UNLABELLED`` (65535) elsewhere."""

FeatureArray: TypeAlias = NDArray[np.float32] | NDArray[np.float16]
"""(h, w, c) float32 or float16, a vector per grid cell."""

FloatArray: TypeAlias = NDArray[np.float32]
"""float32 of any shape: vectors, scores, maps."""

Float64Array: TypeAlias = NDArray[np.float64]
"""float64 of any shape: geometry and statistics."""

Box: TypeAlias = tuple[int, int, int, int]
"""(x_min, y_min, x_max, y_max) in pixels, the maxima exclusive."""

FloatBox: TypeAlias = tuple[float, float, float, float]
"""A ``Box`` with fractions of pixels."""

Size: TypeAlias = tuple[int, int]
"""(height, width) in pixels, or (rows, columns) of a grid."""
