"""JPEG images decoded on the device, where nvJPEG can."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch
from torch import Tensor

from perception_contrast.images.compressed import MAX_PIXELS, decode_compressed
from perception_contrast.images.headers import JPEG_MAGIC, read_header
from perception_contrast.images.pixel_rows import ByteData, byte_view

logger = logging.getLogger(__name__)

# Decoders fill what is missing of an image with mid-grey; rounding may move it by a level or two.
_FILL, _FILL_RANGE = 128, 2
# Formats of depth, and of red and blue exchanged.
_NOT_PLAIN_COLOR = ("compressedDepth", "16UC1", "32FC1", "compressed rgb")


def decode_jpeg_on_device(
    data: ByteData, device: torch.device | str, format: str = "jpeg", *, max_pixels: int = MAX_PIXELS
) -> Tensor:
    """(H, W, 3) uint8 RGB on the device of the data and format of a sensor_msgs/CompressedImage.

    Three-channel JPEG is decoded by nvJPEG where the device is CUDA, which may differ from the CPU's
    decoder by a few levels. Everything else, and what nvJPEG fails on or may have filled for lack of
    data, goes to ``decode_compressed``, whose FrameError says what is wrong. EXIF orientation is ignored.
    """
    target = torch.device(device)
    image = _by_nvjpeg(data, target, format, max_pixels) if target.type == "cuda" else None
    if image is None:
        rgb = decode_compressed(data, format, max_pixels=max_pixels)
        image = torch.from_numpy(np.ascontiguousarray(rgb)).to(target)
    return image


def _by_nvjpeg(data: ByteData, device: torch.device, format: str, max_pixels: int) -> Tensor | None:
    """The image, or None where the CPU has to decode it."""
    view = byte_view(data, "the JPEG image")
    if view[:3] != JPEG_MAGIC or any(word in format for word in _NOT_PLAIN_COLOR):
        return None
    header = read_header(view, max_pixels)
    decoder = _decoder()
    if header.channels != 3 or header.bits != 8 or decoder is None:
        return None
    decode, rgb = decoder
    try:
        # A copy: torch needs bytes that it may write to.
        planes: Tensor = decode(torch.from_numpy(np.array(view, np.uint8)), mode=rgb, device=device)
    except RuntimeError as error:
        logger.debug("nvJPEG decodes no %dx%d image here: %s", header.width, header.height, error)
        return None
    if planes.shape != (3, *header.size):
        return None
    last = planes[:, -1, -1].to(torch.int16)
    if bool(((last - _FILL).abs() <= _FILL_RANGE).all()):
        return None
    return planes.permute(1, 2, 0)


def _decoder() -> tuple[Any, Any] | None:
    """torchvision's decoder and its RGB mode, or None where it is not installed."""
    try:
        from torchvision.io import ImageReadMode, decode_jpeg
    except (ImportError, RuntimeError) as error:
        logger.debug("torchvision cannot be used: %s", error)
        return None
    return decode_jpeg, ImageReadMode.RGB
