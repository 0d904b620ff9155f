"""Images to and from files: written as PNG or JPEG to a temporary name and then renamed; read as those,
WebP, BMP and TIFF.
"""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

import cv2
import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import RgbImage
from perception_contrast.core.cache import atomic_write
from perception_contrast.core.errors import FrameError, PerceptionError
from perception_contrast.images.compressed import MAX_PIXELS, decode_compressed
from perception_contrast.images.file_listing import printable
from perception_contrast.images.foreign_formats import foreign_format
from perception_contrast.images.other_formats import decode_other_format, is_other_format

SAVED_SUFFIXES = (".png", ".jpg", ".jpeg")
"""Suffixes that images can be saved with."""

_FILE_FAULTS = MappingProxyType(
    {
        "empty_data": "the file is empty; copy it again",
        "truncated": "the file is cut short; copy it again",
        "bad_compressed": "the file is damaged or is no image; write it again",
        "unknown_encoding": "the file is none of JPEG, PNG, WebP, BMP and TIFF; convert it to PNG",
        "zero_size": "the image has no pixels",
    }
)
_NOT_RECOGNISED = ("bad_compressed", "unknown_encoding")
_JPEG_QUALITY = 92


def encode_image(image: NDArray[np.uint8] | NDArray[np.uint16], suffix: str) -> bytes:
    """The bytes of a PNG or JPEG. image: (H, W, 3) uint8 RGB, or (H, W) uint8 or (PNG) uint16."""
    if suffix.lower() not in SAVED_SUFFIXES:
        raise PerceptionError(
            f"'{suffix}' is no suffix that images are saved with; use one of {', '.join(SAVED_SUFFIXES)}"
        )
    if image.size == 0:
        raise FrameError("zero_size", "an image without pixels cannot be saved")
    if image.dtype != np.uint8 and (image.dtype != np.uint16 or suffix.lower() != ".png"):
        raise FrameError(
            "bad_dtype", f"{image.dtype} cannot be saved as {suffix}; use uint8, or uint16 as .png"
        )
    stored = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    options = [] if suffix.lower() == ".png" else [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    _, encoded = cv2.imencode(suffix, np.ascontiguousarray(stored), options)
    data: bytes = encoded.tobytes()
    return data


def save_image(path: Path, image: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
    """Writes an image as its suffix says (``encode_image``); readers never see half of it."""
    atomic_write(path, encode_image(image, path.suffix))


def load_image(path: Path) -> RgbImage:
    """The image of a file.

    Args:
        path: A JPEG, PNG, WebP, BMP or TIFF; the bytes tell which.

    Returns:
        RGB (H, W, 3) uint8. EXIF orientation is not applied.

    Raises:
        FrameError: The file cannot be read ("unreadable_file") or decoded; the message names it.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FrameError(
            "unreadable_file", f"image '{printable(str(path))}' cannot be read: {error.strerror or error}"
        ) from error
    return decode_image_file(data, str(path))


def decode_image_file(data: bytes, name: str) -> RgbImage:
    """RGB (H, W, 3) uint8 of the bytes of an image file. Raises FrameError that speaks of the file."""
    try:
        if is_other_format(data):
            return decode_other_format(data, MAX_PIXELS)
        return decode_compressed(data, "")
    except FrameError as error:
        said = _FILE_FAULTS.get(error.reason, str(error))
        if error.reason in _NOT_RECOGNISED and (kind := foreign_format(data)):
            said = f"the file is {kind}"
        raise FrameError(error.reason, f"image '{printable(name)}': {said}") from error
