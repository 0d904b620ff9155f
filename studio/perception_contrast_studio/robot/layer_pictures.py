"""Pictures of a frame's layers for a browser: JPEG of images, small PNG files with colours of ids."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from perception_contrast.client.camera_image import CameraImage
from perception_contrast.images.headers import PNG_MAGIC, read_header
from perception_contrast.images.resize import resize_image, resize_labels

Colour = tuple[int, int, int]
IMAGE_WIDTH, MASK_WIDTH = 960, 640
QUALITY = 80
MOST_COLOURS = 255  # of one palette, beside the transparent one


def browser_jpeg(image: CameraImage) -> tuple[bytes, tuple[int, int]]:
    """A JPEG of at most IMAGE_WIDTH columns, and (height, width) of the camera's image.

    A JPEG that is small enough passes as the camera sent it.

    Raises:
        FrameError: It cannot be decoded.
    """
    if image.encoded is not None and image.format == "jpeg":
        size = read_header(memoryview(image.encoded), 1 << 30).size
        if size[1] <= IMAGE_WIDTH:
            return image.jpeg(QUALITY), size
    pixels = image.pixels
    narrow = np.asarray(_narrowed(pixels, IMAGE_WIDTH, resize_image), np.uint8)
    return encoded_jpeg(narrow), pixels.shape[:2]


def encoded_jpeg(rgb: NDArray[np.uint8], quality: int = QUALITY) -> bytes:
    """A JPEG file of an image (H, W, 3) RGB."""
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def ids_png(ids: NDArray[np.uint16], colour_of: Callable[[int], Colour], nothing: int) -> bytes:
    """A PNG of an image of ids in the colours of these ids, transparent where there is none.

    Args:
        ids: (H, W) uint16.
        colour_of: RGB of an id.
        nothing: The id of pixels without any.
    """
    small = _narrowed(ids, MASK_WIDTH, resize_labels)
    present = np.flatnonzero(np.bincount(small.ravel(), minlength=1))
    shown = [int(one) for one in present if one != nothing][:MOST_COLOURS]
    table = np.zeros(1 << 16, np.uint8)
    table[shown] = np.arange(1, len(shown) + 1)
    return palette_png(table[small], [colour_of(one) for one in shown])


def palette_png(indices: NDArray[np.uint8], colours: list[Colour]) -> bytes:
    """A PNG file whose pixels are numbers of colours (ISO/IEC 15948); number 0 is transparent.

    Args:
        indices: (H, W) uint8, 0 to the number of colours.
        colours: RGB of the numbers from 1 on.
    """
    height, width = indices.shape
    rows = np.zeros((height, width + 1), np.uint8)  # each row begins with its filter: none
    rows[:, 1:] = indices
    palette = bytes(value for colour in [(0, 0, 0), *colours] for value in colour)
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
        (b"PLTE", palette),
        (b"tRNS", b"\x00"),
        (b"IDAT", zlib.compress(rows.tobytes(), 1)),
        (b"IEND", b""),
    )
    parts = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )
    return PNG_MAGIC + b"".join(parts)


def _narrowed(
    image: NDArray[np.generic],
    most: int,
    resize: Callable[[NDArray[np.generic], tuple[int, int]], NDArray[np.generic]],
) -> NDArray[np.generic]:
    height, width = image.shape[:2]
    if width <= most:
        return image
    return resize(image, (max(1, round(height * most / width)), most))
