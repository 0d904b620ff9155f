"""What an image measures at a glance: thumbnail, sharpness, exposure, and a descriptor to compare by."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from perception_contrast.images.resize import fitted_size, resize_image
from perception_contrast_training.data.datasets.manifest import THUMBNAIL

_SIDE = 240
_DARK, _BRIGHT = 5, 250


@dataclass(frozen=True)
class Measures:
    """thumbnail: (16, 16, 3) uint8. sharpness: variance of the Laplacian of the grey image at 240 pixels
    on its short side, or fewer, so that it does not depend on the camera's resolution. brightness: mean
    grey, 0 to 255. clipped: share of pixels under 6 or over 249.
    """

    thumbnail: NDArray[np.uint8]
    sharpness: float
    brightness: float
    clipped: float


def measure(image: NDArray[np.uint8]) -> Measures:
    """Of an image (H, W, 3) uint8 RGB."""
    height, width = image.shape[:2]
    # Never enlarged: that would look like blur.
    small = resize_image(image, fitted_size((height, width), min(_SIDE, height, width), 1))
    grey = cv2.cvtColor(np.ascontiguousarray(small), cv2.COLOR_RGB2GRAY)
    clipped = np.count_nonzero((grey <= _DARK) | (grey >= _BRIGHT)) / grey.size
    return Measures(
        thumbnail_of(image), float(cv2.Laplacian(grey, cv2.CV_64F).var()), float(grey.mean()), float(clipped)
    )


def thumbnail_of(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(16, 16, 3) uint8: the mean of each of 16 x 16 parts."""
    small: NDArray[np.uint8] = cv2.resize(image, THUMBNAIL[1::-1], interpolation=cv2.INTER_AREA)
    return small


def change_between(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Mean absolute difference of two thumbnails, 0 to 1, whatever the exposure added to all of it."""
    difference = one.astype(np.float32) - other.astype(np.float32)
    difference -= difference.mean()
    return float(np.abs(difference).mean()) / 255


def thumbnail_descriptor(thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Unit vectors (n, 768) of thumbnails (n, 16, 16, 3): contrast and colour without brightness.

    An image of one even colour has nothing to compare by; all such get one vector.
    """
    values = thumbnails.reshape(len(thumbnails), -1).astype(np.float32)
    values = values - values.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(values, axis=1, keepdims=True)
    even = norms[:, 0] < 1e-3
    values = np.asarray(values / np.maximum(norms, 1e-3), np.float32)
    values[even] = 0.0
    values[even, 0] = 1.0
    unit: NDArray[np.float32] = values
    return unit
