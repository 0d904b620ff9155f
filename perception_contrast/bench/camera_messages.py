"""A photograph as the messages that a camera driver would send, without ROS."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.errors import FrameError
from perception_contrast.engines.accuracy_gate import gate_photographs
from perception_contrast.images.resize import resize_image

JPEG = "jpeg"
_ORDERS = {
    "rgb8": None,
    "bgr8": cv2.COLOR_RGB2BGR,
    "rgba8": cv2.COLOR_RGB2RGBA,
    "bgra8": cv2.COLOR_RGB2BGRA,
    "mono8": cv2.COLOR_RGB2GRAY,
}
_BAYER = ("bayer_rggb8", "bayer_bggr8", "bayer_gbrg8", "bayer_grbg8")
_YUV = ("nv12", "yuv422", "yuv422_yuy2")
ENCODINGS: tuple[str, ...] = (*_ORDERS, *_BAYER, *_YUV, JPEG)
QUALITY = 90
PAN_STEPS = 8  # images from one end of a pan to the other


@dataclass(frozen=True)
class RawImage:
    """The fields of a sensor_msgs/Image."""

    height: int
    width: int
    encoding: str
    step: int
    data: bytes
    is_bigendian: int = 0


@dataclass(frozen=True)
class CompressedImage:
    """The fields of a sensor_msgs/CompressedImage."""

    format: str
    data: bytes


CameraMessage = RawImage | CompressedImage


def photograph(size: tuple[int, int]) -> NDArray[np.uint8]:
    """A photograph of a cup on a table, (height, width, 3) uint8 RGB."""
    return resize_image(gate_photographs()[1], size)


def panned_photographs(size: tuple[int, int]) -> list[NDArray[np.uint8]]:
    """What a camera sees that pans to and fro over the photograph: images (height, width, 3) uint8 RGB.

    Each differs from the one before it, so nothing that is remembered of a still image helps.
    """
    height, width = size
    margin = max(PAN_STEPS, width // 8)
    wide = photograph((height, width + margin))
    lefts = [round(margin * step / PAN_STEPS) for step in range(PAN_STEPS + 1)]
    turns = [*lefts, *lefts[-2:0:-1]]
    return [np.ascontiguousarray(wide[:, left : left + width]) for left in turns]


def camera_message(image: NDArray[np.uint8], encoding: str) -> CameraMessage:
    """image (H, W, 3) uint8 RGB as a message. Raises FrameError for any other encoding."""
    if encoding == JPEG:
        _, packed = cv2.imencode(
            ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
        )
        return CompressedImage("jpeg", packed.tobytes())
    if encoding not in ENCODINGS:
        raise FrameError(
            "unknown_encoding",
            f"images of encoding '{encoding}' are not made here; use one of {', '.join(ENCODINGS)}",
        )
    height, width = image.shape[:2]
    if encoding in _YUV and (height % 2 or width % 2):
        raise FrameError("odd_width", f"{encoding} needs even sides, not {width}x{height}")
    rows = _packed(image, encoding)
    return RawImage(height, width, encoding, rows.strides[0], rows.tobytes())


def _packed(image: NDArray[np.uint8], encoding: str) -> NDArray[np.uint8]:
    """(rows, ...) uint8 in memory order, as the message holds them."""
    if encoding in _BAYER:
        return _mosaic(image, encoding.removeprefix("bayer_")[:4])
    if encoding in _YUV:
        return _luma_and_chroma(image, encoding)
    code = _ORDERS[encoding]
    return np.ascontiguousarray(image if code is None else cv2.cvtColor(image, code))


def _mosaic(image: NDArray[np.uint8], pattern: str) -> NDArray[np.uint8]:
    """Bayer mosaic (H, W); pattern names the top-left 2 x 2 pixels row by row."""
    mosaic = np.empty(image.shape[:2], np.uint8)
    for index, colour in enumerate(pattern):
        row, column = divmod(index, 2)
        mosaic[row::2, column::2] = image[row::2, column::2, "rgb".index(colour)]
    return mosaic


def _luma_and_chroma(image: NDArray[np.uint8], encoding: str) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    planes = cv2.cvtColor(image, cv2.COLOR_RGB2YUV_I420)
    luma, halves = planes[:height], planes[height:].reshape(2, height // 2, width // 2)
    chroma = np.stack(halves, axis=-1)  # (H/2, W/2, 2): u, v
    if encoding == "nv12":
        return np.concatenate([luma, chroma.reshape(height // 2, width)])
    packed = np.empty((height, width, 2), np.uint8)
    first = 0 if encoding == "yuv422_yuy2" else 1
    packed[..., first] = luma
    packed[..., 1 - first] = np.repeat(chroma, 2, axis=0).reshape(height, width)
    return packed
