"""Raw sensor_msgs/Image data to RGB images and metric depth, without cv_bridge.

Every function here and in ``compressed`` raises ``FrameError``; its ``reason`` is one of

- ``zero_size``: a side is 0
- ``empty_data``: there are no bytes
- ``unknown_encoding``: an encoding or format that is not supported
- ``not_color``, ``not_depth``: a depth encoding where colour is wanted, or the reverse
- ``odd_width``, ``odd_height``: the size does not fit the encoding's chroma subsampling
- ``too_small``: a Bayer mosaic under 3 x 3 pixels
- ``too_large``: a compressed image that claims more pixels than allowed
- ``step_too_small``: ``step`` is less than the bytes of one row
- ``data_too_short``: fewer bytes than the rows take
- ``truncated``: a compressed image of which a part is missing
- ``bad_compressed``: neither JPEG nor PNG, or a damaged one

``files`` and ``other_formats`` have two more: ``unreadable_file``, and ``bad_dtype`` for samples without an
agreed range.

Results may be read-only views of the message's buffer: copy before writing to them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np

from perception_contrast.core.arrays import DepthImage, RgbImage
from perception_contrast.core.errors import FrameError
from perception_contrast.images.compressed import decode_compressed, decode_compressed_depth
from perception_contrast.images.pixel_conversion import BAYER_CODES, eight_bits, full_chroma_to_rgb, metres
from perception_contrast.images.pixel_rows import ByteData, byte_view, pixel_rows, quoted

__all__ = ["ENCODINGS", "decode_compressed", "decode_compressed_depth", "decode_depth", "decode_raw"]


@dataclass(frozen=True)
class _Layout:
    """Channels a pixel, bytes a channel, and the OpenCV conversion to RGB (None: it is RGB already)."""

    channels: int
    code: int | None
    itemsize: int = 1


def _layouts() -> dict[str, _Layout]:
    layouts = {
        "mono8": _Layout(1, cv2.COLOR_GRAY2RGB),
        "rgb8": _Layout(3, None),
        "bgr8": _Layout(3, cv2.COLOR_BGR2RGB),
        "rgba8": _Layout(4, cv2.COLOR_RGBA2RGB),
        "bgra8": _Layout(4, cv2.COLOR_BGRA2RGB),
    }
    layouts |= {f"{pattern}8": _Layout(1, code) for pattern, code in BAYER_CODES.items()}
    layouts |= {f"{name[:-1]}16": _Layout(x.channels, x.code, 2) for name, x in layouts.items()}
    # Named by OpenCV type only: no channel order is stated, so OpenCV's own (as RViz shows them).
    layouts |= {"8UC1": layouts["mono8"], "8UC3": layouts["bgr8"], "8UC4": layouts["bgra8"]}
    layouts |= {"16UC3": layouts["bgr16"], "16UC4": layouts["bgra16"]}
    uyvy, yuyv = _Layout(2, cv2.COLOR_YUV2RGB_UYVY), _Layout(2, cv2.COLOR_YUV2RGB_YUY2)
    layouts |= {"yuv422": uyvy, "uyvy": uyvy, "yuv422_yuy2": yuyv, "yuyv": yuyv}
    return layouts


_LAYOUTS = MappingProxyType(_layouts())
_BIPLANAR = ("nv12", "nv21", "nv24")
_DEPTH = MappingProxyType({"16UC1": ("u", 2), "mono16": ("u", 2), "32FC1": ("f", 4)})
_BY_LOWER_CASE = MappingProxyType({name.lower(): name for name in (*_LAYOUTS, *_BIPLANAR, *_DEPTH)})

ENCODINGS: tuple[str, ...] = (*_LAYOUTS, *_BIPLANAR)
"""Encodings that ``decode_raw`` reads."""


def decode_raw(
    data: ByteData, *, height: int, width: int, step: int, encoding: str, is_bigendian: bool
) -> RgbImage:
    """RGB (height, width, 3) uint8 of the fields of a sensor_msgs/Image.

    rgb8 gives a view of ``data``, strided if rows are padded; the others are converted once.
    16-bit samples v become round(v / 257), the inverse of v * 257 and what cv_bridge does: a fixed scale,
    because a stretch to each image's brightest pixel would make features flicker. YUV is BT.601 in
    video range, as OpenCV and V4L2 take it; ``step`` of nv12, nv21 and nv24 is that of the luma plane,
    and their ``height`` counts image rows. Where data is not as long as these say, its length tells what
    the driver meant (``_biplanar_size``), and the image may be lower than ``height``. Alpha is dropped.
    Bayer names give the top-left 2 x 2 pixels row by row (bayer_rggb8: R G over G B).
    """
    name = _known(encoding, ENCODINGS)
    what = f"the {width}x{height} {name} image"
    _check_size(height, width, what)
    if name in _BIPLANAR:
        return _decode_biplanar(data, height, width, step, name, what)
    layout = _LAYOUTS.get(name)
    if layout is None:
        raise FrameError(
            "not_color",
            f"encoding {name} holds depth, not colour; give this topic as the depth topic "
            "(or publish mono16, if it is a grey image)",
        )
    _check_pattern(height, width, name, what)
    pixels = pixel_rows(
        data,
        height=height,
        width=width,
        step=step,
        channels=layout.channels,
        dtype=_dtype("u", layout.itemsize, is_bigendian),
        what=what,
    )
    if layout.itemsize == 2:
        pixels = eight_bits(pixels)
    rgb: RgbImage = pixels if layout.code is None else cv2.cvtColor(pixels, layout.code)
    return rgb


def decode_message(message: Any) -> RgbImage:
    """(H, W, 3) uint8 RGB of a sensor_msgs/Image or CompressedImage, whoever read it."""
    rgb: RgbImage = _decoded(message, decode_compressed, decode_raw)
    return rgb


def decode_depth_message(message: Any) -> DepthImage:
    """(H, W) float32 metres, NaN where there is none, of a sensor_msgs/Image or CompressedImage."""
    metres: DepthImage = _decoded(message, decode_compressed_depth, decode_depth)
    return metres


def _decoded(message: Any, compressed: Callable[..., Any], raw: Callable[..., Any]) -> Any:
    if hasattr(message, "format"):
        return compressed(message.data, message.format)
    return raw(
        message.data,
        height=message.height,
        width=message.width,
        step=message.step,
        encoding=message.encoding,
        is_bigendian=bool(message.is_bigendian),
    )


def decode_depth(
    data: ByteData, *, height: int, width: int, step: int, encoding: str, is_bigendian: bool
) -> DepthImage:
    """Depth (height, width) float32 in metres along the optical axis, NaN where there is none (REP 118).

    16UC1 and mono16 are millimetres with 0 for none; 32FC1 is metres, where anything that is not a
    positive finite number means none. Unpadded 32FC1 without holes gives a view of ``data``.
    """
    name = _known(encoding, _DEPTH)
    what = f"the {width}x{height} {name} depth image"
    _check_size(height, width, what)
    if name not in _DEPTH:
        raise FrameError(
            "not_depth",
            f"encoding {name} holds no depth; give a topic of {', '.join(_DEPTH)} as the depth topic",
        )
    kind, itemsize = _DEPTH[name]
    dtype = _dtype(kind, itemsize, is_bigendian)
    return metres(pixel_rows(data, height=height, width=width, step=step, channels=1, dtype=dtype, what=what))


def _known(encoding: str, wanted: Iterable[str]) -> str:
    """The encoding as ROS spells it. wanted: those that the error lists for one that nobody knows."""
    name = _BY_LOWER_CASE.get(encoding.strip().lower())
    if name is None:
        known = ", ".join(wanted)
        raise FrameError(
            "unknown_encoding",
            f"encoding {quoted(encoding)} is not supported; set the camera driver to one of {known}",
        )
    return name


def _check_size(height: int, width: int, what: str) -> None:
    if height <= 0 or width <= 0:
        raise FrameError("zero_size", f"{what} has no pixels; check height and width in its publisher")


def _check_pattern(height: int, width: int, name: str, what: str) -> None:
    if name.startswith("bayer_") and min(height, width) < 3:
        raise FrameError("too_small", f"{what} is too small to demosaic; 3x3 pixels are the least")
    if _LAYOUTS[name].channels == 2 and width % 2:
        raise FrameError("odd_width", f"{what} needs an even width: two pixels share their chroma")


def _dtype(kind: str, itemsize: int, is_bigendian: bool) -> np.dtype[Any]:
    return np.dtype(f"{'>' if is_bigendian else '<'}{kind}{itemsize}")


def _biplanar_size(count: int, height: int, width: int, step: int, name: str) -> tuple[int, int]:
    """(height, step) of two planes in ``count`` bytes.

    Drivers disagree on both fields: ``step`` may be 0 or the bytes of a pixel's row in all planes,
    ``height`` may count the rows of the chroma plane too.
    """
    # Rows of luma length in all planes, by rows of luma: 3/2 with chroma for each 2x2 pixels, else 3.
    luma, all_planes = (1, 3) if name == "nv24" else (2, 3)
    rows = height * all_planes // luma
    last = 2 * (step - width) if name == "nv24" else step - width  # padding that may be missing
    if step >= width and count >= rows * step - last:
        return height, step
    if count * luma == height * width * all_planes:
        return height, width
    padded, rest = divmod(count * luma, height * all_planes)
    if rest == 0 and padded >= width and step >= width:
        return height, padded
    lower, rest = divmod(height * luma, all_planes)
    if rest == 0 and lower:
        for row in (step, width):
            if row >= width and count * luma == lower * row * all_planes:
                return lower, row
    return height, step


def _decode_biplanar(data: ByteData, height: int, width: int, step: int, name: str, what: str) -> RgbImage:
    """Luma rows, then rows of interleaved chroma: half as many (nv12, nv21), or twice as long (nv24)."""
    byte = np.dtype(np.uint8)
    height, step = _biplanar_size(byte_view(data, what).nbytes, height, width, step, name)
    if name == "nv24":
        luma = pixel_rows(data, height=height, width=width, step=step, channels=1, dtype=byte, what=what)
        chroma = pixel_rows(
            data,
            height=height,
            width=width,
            step=2 * step,
            channels=2,
            dtype=byte,
            what=what,
            offset=height * step,
        )
        return full_chroma_to_rgb(luma, chroma)
    if width % 2:
        raise FrameError("odd_width", f"{what} needs an even width: two pixels share their chroma")
    if height % 2:
        raise FrameError("odd_height", f"{what} needs an even height: two rows share their chroma")
    rows = height + height // 2
    planes = pixel_rows(data, height=rows, width=width, step=step, channels=1, dtype=byte, what=what)
    code = cv2.COLOR_YUV2RGB_NV12 if name == "nv12" else cv2.COLOR_YUV2RGB_NV21
    rgb: RgbImage = cv2.cvtColor(planes, code)
    return rgb
