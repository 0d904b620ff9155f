"""Resizing and cropping that keep account of where the pixels went (pixel centres at integers)."""

from __future__ import annotations

import math
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import FloatBox, Size
from perception_contrast.core.errors import FrameError
from perception_contrast.core.grid_to_image import GridToImage

_Scalar = TypeVar("_Scalar", bound=np.generic)
_MAX_OPENCV_CHANNELS = 4
# Images that are longer than this times their width are enlarged no further than to the cells of an image
# of 4:3: enlarging a strip of 8192x16 to the most cells takes seconds and shows nothing more.
ELONGATED = 4.0
_USUAL_ASPECT = 4 / 3


def fitted_size(source: Size, short_side: int, multiple: int, max_tokens: int | None = None) -> Size:
    """(height, width), multiples of ``multiple``, whose shorter side is near ``short_side`` pixels.

    source: (height, width). The aspect is kept up to rounding each side to the multiple. Where the
    result would hold more than ``max_tokens`` cells of multiple x multiple pixels, both sides shrink
    until it does not. With ``max_tokens``, a source more elongated than ELONGATED also gets no more cells
    than it has itself, or than an image of 4:3 gets. Raises FrameError for a source without pixels.
    """
    height, width = source
    if height <= 0 or width <= 0:
        raise FrameError("zero_size", f"an image of {width}x{height} has no pixels")
    if short_side < 1 or multiple < 1 or (max_tokens is not None and max_tokens < 1):
        raise ValueError(f"short_side {short_side}, multiple {multiple}, max_tokens {max_tokens}: at least 1")
    scale = short_side / min(height, width) / multiple
    rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
    if max_tokens is not None and max(height, width) > ELONGATED * min(height, width):
        own, usual = height * width / multiple**2, _USUAL_ASPECT * (short_side / multiple) ** 2
        max_tokens = max(1, min(max_tokens, round(max(own, usual))))
    if max_tokens is not None and rows * columns > max_tokens:
        # In integers: floats lose a row of some perfect fits (3 x 3 in 961 cells came out 30 x 30).
        rows = min(max(1, math.isqrt(max_tokens * height // width)), max_tokens)
        columns = min(max(1, math.isqrt(max_tokens * width // height)), max_tokens)
    return rows * multiple, columns * multiple


def resize_image(image: NDArray[_Scalar], size: Size) -> NDArray[_Scalar]:
    """An image (H, W) or (H, W, C up to 4), uint8, uint16 or float32, at (height, width).

    Area average where it shrinks, bilinear where it grows. ``GridToImage.of_resize`` maps it back.
    """
    if image.shape[:2] == tuple(size):
        return image
    shrinks = size[0] <= image.shape[0] and size[1] <= image.shape[1]
    return _resized(image, size, cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def shrink_image(image: NDArray[_Scalar], longest: int) -> NDArray[_Scalar]:
    """As ``resize_image``, its longer side ``longest`` pixels at most; smaller images stay as they are."""
    height, width = image.shape[:2]
    scale = longest / max(height, width)
    if scale >= 1.0:
        return image
    return resize_image(image, (max(1, round(height * scale)), max(1, round(width * scale))))


def resize_labels(labels: NDArray[_Scalar], size: Size) -> NDArray[_Scalar]:
    """Labels, masks or depth (H, W) of any dtype at (height, width): nearest pixel, nothing is mixed."""
    if labels.shape[:2] == tuple(size):
        return labels
    rows = nearest_pixels(labels.shape[0], size[0])
    columns = nearest_pixels(labels.shape[1], size[1])
    picked: NDArray[_Scalar] = labels[rows[:, None], columns[None, :]]
    return picked


def crop(image: NDArray[_Scalar], box: FloatBox) -> tuple[NDArray[_Scalar], GridToImage]:
    """The part of an image (H, W, ...) under a box, and the map of its pixels to the whole image's.

    box: (x_min, y_min, x_max, y_max), pixel edges as in ``Detection.box``; it is widened to whole
    pixels and clipped to the image. The part is a view. Raises FrameError if the box misses it.
    A grid that was made of the part lies in the whole image by ``grid_to_image.then(map)``.
    """
    height, width = image.shape[:2]
    x0, y0 = max(0, math.floor(box[0])), max(0, math.floor(box[1]))
    x1, y1 = min(width, math.ceil(box[2])), min(height, math.ceil(box[3]))
    if x0 >= x1 or y0 >= y1:
        raise FrameError(
            "empty_box", f"box {tuple(box)} covers no pixel of a {width}x{height} image; choose one inside"
        )
    return image[y0:y1, x0:x1], GridToImage(1.0, 1.0, float(x0), float(y0))


def _resized(image: NDArray[_Scalar], size: Size, interpolation: int) -> NDArray[_Scalar]:
    if image.ndim == 3 and image.shape[2] > _MAX_OPENCV_CHANNELS:
        raise ValueError(f"{image.shape[2]} channels; at most {_MAX_OPENCV_CHANNELS}")
    resized: NDArray[_Scalar] = cv2.resize(image, (size[1], size[0]), interpolation=interpolation)
    return resized.reshape(*size, *image.shape[2:])


def nearest_pixels(source: int, target: int) -> NDArray[np.int64]:
    """Of ``source`` pixels in a row, the index nearest to the centre of each of ``target`` pixels."""
    return np.minimum(((np.arange(target) + 0.5) * (source / target)).astype(np.int64), source - 1)
