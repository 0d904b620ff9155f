"""Camera bytes to colour planes in torch, to the level as ``images.decode.decode_raw`` has them by OpenCV."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from perception_contrast.core.errors import FrameError
from perception_contrast.images.decode import decode_raw
from perception_contrast.images.pixel_rows import ByteData, pixel_rows, quoted

_RED_FIRST, _BLUE_FIRST = (0, 1, 2), (2, 1, 0)
# Interleaved channels, and which of them are red, green and blue.
_CHANNELS = MappingProxyType(
    {
        "mono8": (1, (0,)),
        "8uc1": (1, (0,)),
        "rgb8": (3, _RED_FIRST),
        "bgr8": (3, _BLUE_FIRST),
        "8uc3": (3, _BLUE_FIRST),
        "rgba8": (4, _RED_FIRST),
        "bgra8": (4, _BLUE_FIRST),
        "8uc4": (4, _BLUE_FIRST),
    }
)
# Where in the first 2 x 2 pixels red lies, as (row, column); blue lies across.
_RED_AT = MappingProxyType(
    {"bayer_rggb8": (0, 0), "bayer_grbg8": (0, 1), "bayer_gbrg8": (1, 0), "bayer_bggr8": (1, 1)}
)
# Whether luma is the first byte of a pixel.
_LUMA_FIRST = MappingProxyType({"yuv422": False, "uyvy": False, "yuv422_yuy2": True, "yuyv": True})
# Whether U is the first byte of a pair.
_U_FIRST = MappingProxyType({"nv12": True, "nv21": False})

DEVICE_ENCODINGS: tuple[str, ...] = (*_CHANNELS, *_RED_AT, *_LUMA_FIRST, *_U_FIRST)
"""Encodings, in lower case, that ``colour_planes`` reads."""

# OpenCV's BT.601 in video range: three decimals, in units of 2**-20.
_YUV_BITS = 20
_LUMA, _U_TO_BLUE, _U_TO_GREEN, _V_TO_GREEN, _V_TO_RED = (
    int(factor * (1 << _YUV_BITS)) for factor in (1.164, 2.018, -0.391, -0.813, 1.596)
)


def message_pixels(
    data: ByteData, *, height: int, width: int, step: int, encoding: str, is_bigendian: bool
) -> tuple[NDArray[np.uint8], str]:
    """The pixels of a sensor_msgs/Image's fields for ``colour_planes``, and the encoding they are in then.

    A view of ``data``, strided where rows are padded; encodings that no device converts (16 bits a sample,
    nv24) are decoded to rgb8 here. Raises FrameError as ``decode_raw`` does.
    """
    name = encoding.strip().lower()
    if name not in DEVICE_ENCODINGS or height <= 0 or width <= 0:
        rgb = decode_raw(
            data, height=height, width=width, step=step, encoding=encoding, is_bigendian=is_bigendian
        )
        return rgb, "rgb8"
    rows = height + height // 2 if name in _U_FIRST else height
    channels = _channels(name)
    image_size((rows, width) if channels == 1 else (rows, width, channels), name)
    pixels: NDArray[np.uint8] = pixel_rows(
        data,
        height=rows,
        width=width,
        step=step,
        channels=channels,
        dtype=np.dtype(np.uint8),
        what=f"the {width}x{height} {name} image",
    )
    return pixels, name


def image_size(shape: tuple[int, ...], encoding: str) -> tuple[int, int]:
    """(height, width) of the image in an array of this shape.

    Shapes are (H, W) for one byte a pixel, (H, W, channels) for more (yuv422: 2) and (3 H / 2, W) for
    nv12 and nv21. Raises FrameError, reasons as in ``images.decode``.
    """
    name = encoding.strip().lower()
    if name not in DEVICE_ENCODINGS:
        raise FrameError(
            "unknown_encoding",
            f"no device converts encoding {quoted(encoding)}; decode it to rgb8 first "
            f"or use one of {', '.join(DEVICE_ENCODINGS)}",
        )
    if 0 in shape:
        raise FrameError("zero_size", f"a {name} image of shape {shape} has no pixels")
    channels = _channels(name)
    if len(shape) != (2 if channels == 1 else 3) or (channels > 1 and shape[2] != channels):
        wanted = "(rows, width)" if channels == 1 else f"(height, width, {channels})"
        raise ValueError(f"{name} pixels must be {wanted}, not {shape}")
    height, width = shape[:2]
    if name in _RED_AT and min(height, width) < 3:
        raise FrameError(
            "too_small", f"the {width}x{height} {name} image cannot be demosaiced; 3x3 pixels are the least"
        )
    if (name in _LUMA_FIRST or name in _U_FIRST) and width % 2:
        raise FrameError("odd_width", f"{name} needs an even width, not {width}: two pixels share chroma")
    if name in _U_FIRST:
        if height % 3:
            raise FrameError(
                "odd_height",
                f"{height} rows are no {name} image: an even number of luma rows, then half as many",
            )
        height = height // 3 * 2
    return height, width


def colour_planes(raw: Tensor, encoding: str) -> Tensor:
    """raw (B, *shape) uint8, each of a shape that ``image_size`` takes, as (B, 3, H, W) uint8 RGB.

    Grey images give (B, 1, H, W). Alpha is dropped; Bayer mosaics are interpolated bilinearly, with the
    outermost pixels those beside them; YUV is BT.601 in video range.
    """
    name = encoding.strip().lower()
    image_size(tuple(raw.shape[1:]), name)
    if name in _RED_AT:
        return _demosaiced(raw, *_RED_AT[name])
    if name in _LUMA_FIRST:
        chroma, luma = raw.unbind(-1)[:: -1 if _LUMA_FIRST[name] else 1]
        return _yuv_to_rgb(luma, chroma[..., 0::2], chroma[..., 1::2], 1)
    if name in _U_FIRST:
        height = raw.shape[1] // 3 * 2
        chroma = raw[:, height:]
        u, v = (chroma[..., 0::2], chroma[..., 1::2])[:: 1 if _U_FIRST[name] else -1]
        return _yuv_to_rgb(raw[:, :height], u, v, 2)
    channels, order = _CHANNELS[name]
    if channels == 1:
        return raw[:, None]
    return torch.stack([raw[..., channel] for channel in order], dim=1)


def _channels(name: str) -> int:
    return 2 if name in _LUMA_FIRST else _CHANNELS.get(name, (1,))[0]


def _yuv_to_rgb(luma: Tensor, u: Tensor, v: Tensor, rows: int) -> Tensor:
    """luma (B, H, W); u, v (B, H / rows, W / 2) uint8, each of rows x 2 pixels."""
    bright = (luma.to(torch.int32) - 16).clamp_(min=0) * _LUMA + (1 << (_YUV_BITS - 1))
    u, v = u.to(torch.int32) - 128, v.to(torch.int32) - 128
    colour = torch.stack([_V_TO_RED * v, _V_TO_GREEN * v + _U_TO_GREEN * u, _U_TO_BLUE * u], dim=1)
    if rows > 1:
        colour = colour.repeat_interleave(rows, dim=2)
    total = colour.repeat_interleave(2, dim=3) + bright[:, None]
    return total.bitwise_right_shift_(_YUV_BITS).clamp_(0, 255).to(torch.uint8)


def _demosaiced(mosaic: Tensor, red_row: int, red_column: int) -> Tensor:
    """mosaic (B, H, W) uint8 as (B, 3, H, W); all but the outermost pixels have their neighbours."""
    values = mosaic.to(torch.int16)
    own = values[:, 1:-1, 1:-1]
    beside = values[:, 1:-1, :-2] + values[:, 1:-1, 2:]
    above = values[:, :-2, 1:-1] + values[:, 2:, 1:-1]
    corners = values[:, :-2, :-2] + values[:, :-2, 2:] + values[:, 2:, :-2] + values[:, 2:, 2:]
    across, along = (beside + 1) >> 1, (above + 1) >> 1
    cross, diagonal = (beside + above + 2) >> 2, (corners + 2) >> 2
    height, width = own.shape[1:]
    # The inner pixels begin at row and column 1.
    on_red_row = ((torch.arange(height, device=mosaic.device) + 1 - red_row) % 2 == 0)[:, None]
    on_red_column = (torch.arange(width, device=mosaic.device) + 1 - red_column) % 2 == 0
    at_red, at_blue = on_red_row & on_red_column, ~on_red_row & ~on_red_column
    red = torch.where(at_red, own, torch.where(at_blue, diagonal, torch.where(on_red_row, across, along)))
    blue = torch.where(at_blue, own, torch.where(at_red, diagonal, torch.where(on_red_row, along, across)))
    green = torch.where(at_red | at_blue, cross, own)
    planes = torch.stack([red, green, blue], dim=1).to(torch.float32)
    return functional.pad(planes, (1, 1, 1, 1), mode="replicate").to(torch.uint8)
