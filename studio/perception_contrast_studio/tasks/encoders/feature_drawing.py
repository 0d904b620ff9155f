"""Cells as images: heat maps, clusters and labels."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from perception_contrast.images.files import encode_image
from perception_contrast.images.resize import resize_labels

Floats = NDArray[np.float32]
LONGEST = 640
# Okabe and Ito (2008), then lighter and darker ones of the same hues.
COLOURS = (
    (0, 114, 178), (230, 159, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233), (213, 94, 0),
    (240, 228, 66), (130, 130, 130), (0, 60, 100), (130, 85, 0), (0, 85, 60), (120, 50, 90),
)  # fmt: skip


def shown_size(size: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of an overlay for an image of (height, width)."""
    scale = min(1.0, LONGEST / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def heat_png(values: Floats, size: tuple[int, int], low: float, high: float) -> bytes:
    """A PNG in viridis of (h, w) values, for an image of (height, width)."""
    height, width = shown_size(size)
    shares = (values - low) / max(high - low, 1e-9)
    large = cv2.resize(shares.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    grey = (np.clip(large, 0, 1) * 255).astype(np.uint8)
    drawn = cv2.cvtColor(cv2.applyColorMap(grey, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB)
    return encode_image(np.asarray(drawn, np.uint8), ".png")


def label_png(labels: NDArray[np.int64], size: tuple[int, int]) -> bytes:
    """A PNG with a colour for each number of (h, w); -1 is nearly white."""
    palette = np.array([*COLOURS, (235, 235, 235)], np.uint8)
    chosen = np.where(labels < 0, len(COLOURS), labels % len(COLOURS))
    return encode_image(palette[resize_labels(chosen, shown_size(size))], ".png")
