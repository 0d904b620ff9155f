"""sensor_msgs/CompressedImage data to RGB images and metric depth: JPEG, PNG, compressedDepth PNG and RVL."""

from __future__ import annotations

import struct
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import DepthImage, RgbImage
from perception_contrast.core.errors import FrameError
from perception_contrast.images.headers import JPEG_MAGIC, PNG_MAGIC, ImageHeader, read_header, still_png
from perception_contrast.images.pixel_conversion import BAYER_CODES, eight_bits, metres
from perception_contrast.images.pixel_rows import ByteData, byte_view, quoted
from perception_contrast.images.run_length_depth import decode_rvl

MAX_PIXELS = 64_000_000
"""Images that claim more are refused before anything is allocated."""

_DEPTH_ENCODINGS = ("16UC1", "32FC1")
_DEPTH_HEADER = struct.Struct("<iff")
_RVL_SIZE = struct.Struct("<II")  # width, height


def decode_compressed(data: ByteData, format: str, *, max_pixels: int = MAX_PIXELS) -> RgbImage:
    """RGB (H, W, 3) uint8 of the data and format of a sensor_msgs/CompressedImage.

    The bytes tell JPEG from PNG; ``format`` ("jpeg", "rgb8; jpeg compressed bgr8", ...) tells what
    image_transport did before: a one-channel image of a Bayer encoding is a mosaic, and an image
    that was "compressed rgb" has red and blue exchanged in the file. Alpha is dropped and 16-bit
    samples are scaled as in ``decode_raw``. EXIF orientation is ignored: pixels stay where the camera's
    intrinsics say. Raises FrameError (reasons: ``decode``); bits that were flipped inside otherwise
    complete JPEG data cannot be noticed.
    """
    source, _, treatment = (part.strip() for part in format.partition(";"))
    if source in _DEPTH_ENCODINGS or "compressedDepth" in format:
        raise FrameError(
            "not_color",
            f"format {quoted(format)} holds depth, not colour; give this topic as the depth topic",
        )
    view = byte_view(data, f"the {quoted(format)} image")
    header = _header(view, format, max_pixels)
    pattern = BAYER_CODES.get(source.removesuffix("16").removesuffix("8"))
    if header.channels == 1 and pattern is not None:
        if min(header.size) < 3:
            raise FrameError("too_small", "a Bayer mosaic under 3x3 pixels cannot be converted to colour")
        mosaic = _eight_bits(_decode(view, header, cv2.IMREAD_GRAYSCALE))
        rgb: RgbImage = cv2.cvtColor(mosaic, pattern)
        return rgb
    image = _eight_bits(_decode(view, header, cv2.IMREAD_COLOR))
    if "compressed rgb" in treatment:
        return image
    rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    return rgb


def decode_compressed_depth(data: ByteData, format: str, *, max_pixels: int = MAX_PIXELS) -> DepthImage:
    """Depth (H, W) float32 metres, NaN where there is none, of compressed depth.

    Reads what compressed_depth_image_transport writes: a 12-byte header (int32 kind, float32 a, float32
    b), then a 16-bit PNG of millimetres (16UC1) or of q = a / depth + b (32FC1), or the same samples as
    RVL behind their width and height (uint32 each). Also a 16-bit PNG of millimetres alone. Raises
    FrameError (reasons: ``decode``).
    """
    source = format.partition(";")[0].strip()
    view = byte_view(data, f"the {quoted(format)} depth image")
    if source not in _DEPTH_ENCODINGS and source != "mono16":
        raise FrameError(
            "not_depth",
            f"format {quoted(format)} does not say that it is 16UC1 or 32FC1 depth; "
            "give a compressedDepth topic as the depth topic",
        )
    if "rvl" in format.lower():
        return _decoded_rvl(view, source, max_pixels)
    headed = view[:8] != PNG_MAGIC
    body = view[_DEPTH_HEADER.size :] if headed else view
    header = read_header(body, max_pixels)
    if (header.kind, header.bits, header.channels) != ("png", 16, 1) or (source == "32FC1" and not headed):
        raise FrameError(
            "not_depth",
            f"the {quoted(format)} image is not a 16-bit grey PNG in compressedDepth form; "
            "publish depth through compressed_depth_image_transport",
        )
    samples = _decode(body, header, cv2.IMREAD_GRAYSCALE)
    if source != "32FC1":
        return metres(samples)
    _, a, b = _DEPTH_HEADER.unpack_from(view)
    return _dequantised(samples, a, b)


def _decoded_rvl(view: memoryview, source: str, max_pixels: int) -> DepthImage:
    if len(view) < _DEPTH_HEADER.size + _RVL_SIZE.size:
        raise FrameError("truncated", "the RVL depth ends in its header; data was lost at the camera")
    _, a, b = _DEPTH_HEADER.unpack_from(view)
    width, height = _RVL_SIZE.unpack_from(view, _DEPTH_HEADER.size)
    if not width or not height:
        raise FrameError("zero_size", f"the RVL depth of {width}x{height} has no pixels; check its publisher")
    if width * height > max_pixels:
        raise FrameError(
            "too_large",
            f"the RVL depth of {width}x{height} is over the limit of {max_pixels / 1e6:g} megapixels; "
            "publish smaller images",
        )
    samples = decode_rvl(view[_DEPTH_HEADER.size + _RVL_SIZE.size :], width * height)
    samples = samples.reshape(height, width)
    return metres(samples) if source != "32FC1" else _dequantised(samples, a, b)


def _dequantised(samples: NDArray[Any], a: float, b: float) -> DepthImage:
    """Metres of inverse depth q = a / depth + b; q = 0 means none."""
    with np.errstate(all="ignore"):
        depth = np.float32(a) / (samples.astype(np.float32) - np.float32(b))
    depth[samples == 0] = np.nan
    return metres(depth)


def _header(view: memoryview, format: str, max_pixels: int) -> ImageHeader:
    named = format.lower()
    is_known = view[:3] == JPEG_MAGIC or view[:8] == PNG_MAGIC
    if not is_known and named and not any(word in named for word in ("jpeg", "jpg", "png")):
        raise FrameError(
            "unknown_encoding",
            f"format {quoted(format)} is not supported; set image_transport to jpeg or png",
        )
    return read_header(view, max_pixels)


def _eight_bits(samples: NDArray[Any]) -> NDArray[np.uint8]:
    return eight_bits(samples) if samples.dtype == np.uint16 else samples


def _decode(view: memoryview, header: ImageHeader, mode: int) -> NDArray[Any]:
    """Decoded samples, 8 or 16 bits, (H, W) or (H, W, 3) in OpenCV's order."""
    data = still_png(view) if header.animated else view
    image = _imdecode(np.frombuffer(data, np.uint8), mode)
    if image is None or image.shape[:2] != header.size:
        raise FrameError(
            "bad_compressed",
            f"the {header.kind.upper()} is damaged; its decoder gave no image of {header.size}",
        )
    if header.kind == "jpeg" and _is_cut(view, header, image, mode):
        raise FrameError("truncated", "the JPEG lacks data for its last rows; data was lost at the camera")
    return image


def _imdecode(data: NDArray[np.uint8], mode: int) -> NDArray[Any] | None:
    try:
        image: NDArray[Any] | None = cv2.imdecode(
            data, mode | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
        )
    except cv2.error:
        return None
    return image


def _is_cut(view: memoryview, header: ImageHeader, image: NDArray[Any], mode: int) -> bool:
    """Whether a JPEG that has its end marker lacks image data before it.

    libjpeg fills what is missing with mid-grey. Where the last pixel is just that, more data is put
    before the end marker: it changes the image only if the decoder still waits for data.
    """
    if not bool((image[-1, -1] == 128).all()):
        return False
    longer = bytes(view[: header.end]) + bytes(range(1, 255)) + b"\xff\xd9"
    other = _imdecode(np.frombuffer(longer, np.uint8), mode)
    return other is None or not np.array_equal(image, other)
