"""The bytes that a dataset keeps of an image and its depth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.errors import FrameError
from perception_contrast.images.compressed import MAX_PIXELS
from perception_contrast.images.decode import decode_depth_message, decode_message
from perception_contrast.images.headers import read_header
from perception_contrast.images.pixel_conversion import BAYER_CODES
from perception_contrast.images.resize import fitted_size, resize_image
from perception_contrast_training.data.bags.anonymise import Hook, Seen, anonymised
from perception_contrast_training.data.bags.options import AUTO, ExtractOptions

_MOST_MILLIMETRES = 65535


@dataclass(frozen=True)
class Kept:
    """image: (H, W, 3) uint8 RGB as any reader will decode it. suffix: ".jpg" or ".png"."""

    image: NDArray[np.uint8]
    data: bytes
    suffix: str


def kept_image(
    fields: Any, image: NDArray[np.uint8], seen: Seen, hook: Hook | None, options: ExtractOptions
) -> Kept:
    """What is stored of a decoded message: its own bytes wherever nothing was changed. Raises FrameError."""
    changed = image if hook is None else anonymised(hook, image, seen)
    if options.short_side and min(changed.shape[:2]) > options.short_side:
        size = fitted_size((changed.shape[0], changed.shape[1]), options.short_side, 1)
        changed = resize_image(changed, size)
    suffix = own_suffix(fields)
    wanted = suffix or ".jpg" if options.format == AUTO else f".{options.format}"
    if changed is image and suffix == wanted:
        return Kept(image, bytes(memoryview(fields.data)), suffix)
    data = _encoded(changed, wanted, options.quality)
    return Kept(changed, data, wanted)


def own_suffix(fields: Any) -> str:
    """ ".jpg" or ".png" for a CompressedImage that any viewer shows in true colours, else "".

    Not so are mosaics, 16-bit samples, and JPEGs that image_transport made with red and blue exchanged.
    """
    if not hasattr(fields, "format"):
        return ""
    source, _, treatment = (part.strip() for part in fields.format.partition(";"))
    header = read_header(memoryview(fields.data).cast("B"), MAX_PIXELS)
    is_mosaic = header.channels == 1 and any(source.startswith(pattern) for pattern in BAYER_CODES)
    if header.bits != 8 or is_mosaic or "compressed rgb" in treatment:
        return ""
    return ".jpg" if header.kind == "jpeg" else ".png"


def _encoded(image: NDArray[np.uint8], suffix: str, quality: int) -> bytes:
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if suffix == ".jpg" else []
    done, encoded = cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    if not done:
        raise FrameError("too_large", f"an image of {image.shape[1]}x{image.shape[0]} cannot be a {suffix}")
    data: bytes = encoded.tobytes()
    return data


def decoded_image(fields: Any) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB, contiguous. Raises FrameError."""
    return np.ascontiguousarray(decode_message(fields))


def decoded_depth(fields: Any) -> NDArray[np.float32]:
    """(H, W) float32 metres, NaN for none, of an Image or CompressedImage. Raises FrameError."""
    return decode_depth_message(fields)


def depth_png(depth: NDArray[np.float32]) -> bytes:
    """16-bit PNG of millimetres; 0 for none and for what is over 65.535 m (REP 118)."""
    with np.errstate(invalid="ignore"):
        millimetres = np.rint(depth * 1000.0)
        known = (millimetres >= 1) & (millimetres <= _MOST_MILLIMETRES)
    stored = np.where(known, millimetres, 0).astype(np.uint16)
    _, encoded = cv2.imencode(".png", stored)
    data: bytes = encoded.tobytes()
    return data
