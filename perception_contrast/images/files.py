"""Images to and from files: PNG and JPEG, written to a temporary name and then renamed."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import RgbImage
from perception_contrast.core.cache import atomic_write
from perception_contrast.core.errors import FrameError, PerceptionError
from perception_contrast.images.compressed import decode_compressed

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
_JPEG_QUALITY = 92


def encode_image(image: NDArray[np.uint8] | NDArray[np.uint16], suffix: str) -> bytes:
    """The bytes of a PNG or JPEG. image: (H, W, 3) uint8 RGB, or (H, W) uint8 or (PNG) uint16."""
    if suffix.lower() not in IMAGE_SUFFIXES:
        raise PerceptionError(f"'{suffix}' is no image suffix; use one of {', '.join(IMAGE_SUFFIXES)}")
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
    """RGB (H, W, 3) uint8 of a PNG or JPEG file; errors name the file."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PerceptionError(f"image '{path}' cannot be read: {error.strerror or error}") from error
    try:
        return decode_compressed(data, path.suffix.lstrip("."))
    except FrameError as error:
        raise FrameError(error.reason, f"image '{path}': {error}") from error
