"""WebP, BMP and TIFF files to RGB images. Messages carry JPEG and PNG alone (``compressed``)."""

from __future__ import annotations

import io
import struct
import warnings
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from perception_contrast.core.arrays import RgbImage
from perception_contrast.core.errors import FrameError
from perception_contrast.images.pixel_conversion import eight_bits

_WITHOUT_RANGE = ("I", "F")
_FORMATS = ("WEBP", "BMP", "TIFF")
_TIFF_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
_ORIENTATION = 0x0112


def is_other_format(data: bytes) -> bool:
    """Whether bytes begin as WebP, BMP or TIFF does."""
    return data[:4] in _TIFF_ORDERS or data[:2] == b"BM" or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")


def decode_other_format(data: bytes, max_pixels: int) -> RgbImage:
    """RGB (H, W, 3) uint8 of a WebP, BMP or TIFF, of the first image where there are more.

    16-bit samples are scaled as in ``decode_raw``. Orientation is not applied. Raises FrameError.
    """
    data = _unturned(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=_FORMATS) as header:
                kind, mode, (width, height) = str(header.format), header.mode, header.size
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, struct.error) as error:
        raise FrameError("bad_compressed", f"the image is damaged: {error}") from error
    except Image.DecompressionBombError as error:
        raise FrameError("too_large", f"the image is too large: {error}") from error
    if height * width > max_pixels:
        raise FrameError(
            "too_large",
            f"a {kind} of {width}x{height} is over the limit of {max_pixels / 1e6:g} megapixels; "
            "make the image smaller",
        )
    if mode in _WITHOUT_RANGE:
        raise FrameError(
            "bad_dtype",
            f"the {kind} has 32-bit samples, which have no agreed range; save it with 8 or 16 bits",
        )
    pixels = _pixels(data)
    if pixels is None or pixels.shape[:2] != (height, width):
        raise FrameError("bad_compressed", f"the {kind} of {width}x{height} is damaged or cut short")
    if pixels.dtype == np.uint16:
        pixels = eight_bits(pixels)
    if pixels.dtype != np.uint8:
        raise FrameError(
            "bad_dtype", f"the {kind} has {pixels.dtype} samples without an agreed range; save it with 8 bits"
        )
    rgb: RgbImage = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
    return rgb


def _pixels(data: bytes) -> NDArray[Any] | None:
    mode = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        pixels: NDArray[Any] | None = cv2.imdecode(np.frombuffer(data, np.uint8), mode)
    except cv2.error:
        return None
    return pixels


def _unturned(data: bytes) -> bytes:
    """A TIFF whose orientation is set to 1: decoders turn the pixels of TIFFs, whatever they are asked."""
    order = _TIFF_ORDERS.get(data[:4])
    if order is None or len(data) < 8:
        return data
    (begin,) = struct.unpack_from(f"{order}I", data, 4)
    if begin + 2 > len(data):
        return data
    (count,) = struct.unpack_from(f"{order}H", data, begin)
    for entry in range(begin + 2, min(begin + 2 + 12 * count, len(data) - 11), 12):
        (tag,) = struct.unpack_from(f"{order}H", data, entry)
        if tag == _ORIENTATION:
            changed = bytearray(data)
            struct.pack_into(f"{order}H", changed, entry + 8, 1)
            return bytes(changed)
    return data
