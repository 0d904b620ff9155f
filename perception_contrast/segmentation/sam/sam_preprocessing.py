"""Images and boxes as the SAM family takes them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from perception_contrast.core.arrays import FloatArray, Size

LONG_SIDE = 1024  # of the square that all models of the family take
# SAM's pixel_mean 123.675, 116.28, 103.53 and pixel_std 58.395, 57.12, 57.375, of RGB in [0, 1].
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BOX_LABELS = (2.0, 3.0)  # point labels of a box's top left and bottom right corner


def image_size(image: NDArray[np.uint8]) -> Size:
    """(height, width)."""
    return int(image.shape[0]), int(image.shape[1])


def resized_size(source: Size) -> Size:
    """(height, width) of an image whose long side becomes 1024, rounded as by ``ResizeLongestSide``."""
    scale = LONG_SIDE / max(source)
    height, width = (max(1, int(side * scale + 0.5)) for side in source)
    return height, width


def resize_antialiased(image: NDArray[np.uint8], size: Size) -> NDArray[np.uint8]:
    """image (H, W, 3) at (height, width): Pillow's antialiased bilinear, as SAM's predictor resizes."""
    if image_size(image) == size:
        return image
    return np.asarray(Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BILINEAR))


def pad_to_square(values: FloatArray) -> FloatArray:
    """(1, 3, h, w), normalised, as (1, 3, 1024, 1024) with zeros to the right and below."""
    height, width = values.shape[2:]
    return np.pad(values, ((0, 0), (0, 0), (0, LONG_SIDE - height), (0, LONG_SIDE - width)))


def box_corners(boxes: FloatArray, source: Size, resized: Size) -> FloatArray:
    """(n, 2, 2) float32, x and y of each box's two corners in the resized image.

    The family counts pixels, not edges: a box ends at its last pixel (``batched_mask_to_box``), and all
    coordinates are scaled alike (``apply_coords``).

    Args:
        boxes: (n, 4), pixel edges in the source.
        source: (height, width) of the source.
        resized: (height, width) of the resized image.
    """
    scale = np.array([resized[1] / source[1], resized[0] / source[0]])
    corners = boxes.reshape(-1, 2, 2) - np.array([[0.0, 0.0], [1.0, 1.0]])
    return np.asarray(corners * scale, np.float32)
