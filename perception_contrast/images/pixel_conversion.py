"""Conversions of pixel values: sample depth, full-resolution chroma, metric depth, Bayer names."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import DepthImage, RgbImage

_Sample = TypeVar("_Sample", bound=np.generic)

# ROS and these aliases name the top-left 2 x 2 pixels; OpenCV's own two-letter names are shifted by one.
BAYER_CODES = MappingProxyType(
    {
        "bayer_rggb": cv2.COLOR_BayerRGGB2RGB,
        "bayer_bggr": cv2.COLOR_BayerBGGR2RGB,
        "bayer_gbrg": cv2.COLOR_BayerGBRG2RGB,
        "bayer_grbg": cv2.COLOR_BayerGRBG2RGB,
    }
)

# ITU-R BT.601 in video range (luma 16..235, chroma 16..240), rows R, G, B; columns Y, U, V, constant.
_BT601 = np.array(
    [
        [255 / 219, 0.0, 1.402 * 255 / 224],
        [255 / 219, -0.344136 * 255 / 224, -0.714136 * 255 / 224],
        [255 / 219, 1.772 * 255 / 224, 0.0],
    ]
)
_YUV_TO_RGB = np.column_stack([_BT601, -_BT601 @ [16.0, 128.0, 128.0]])


def eight_bits(samples: NDArray[Any]) -> NDArray[np.uint8]:
    """round(v / 257) of 16-bit samples in either byte order: 0 and 65535 become 0 and 255."""
    # OpenCV misreads rows whose step is not a multiple of the sample.
    scaled: NDArray[np.uint8] = cv2.convertScaleAbs(_plain(samples, np.uint16), alpha=1 / 257)
    return scaled


def full_chroma_to_rgb(luma: NDArray[np.uint8], chroma: NDArray[np.uint8]) -> RgbImage:
    """RGB of luma (H, W) and chroma (H, W, 2) in the order U, V; BT.601 in video range."""
    yuv = np.concatenate([luma[..., None], chroma], axis=2)
    rgb: RgbImage = cv2.transform(yuv, _YUV_TO_RGB)
    return rgb


def metres(samples: NDArray[Any]) -> DepthImage:
    """Depth samples, uint16 millimetres or float metres in either byte order, as float32 metres or NaN."""
    if samples.dtype.kind == "u":
        depth = samples.astype(np.float32) * np.float32(0.001)
        depth[samples == 0] = np.nan
        return depth
    depth = _plain(samples, np.float32)
    valid = np.isfinite(depth) & (depth > 0)
    return depth if bool(valid.all()) else np.where(valid, depth, np.float32(np.nan))


def _plain(samples: NDArray[Any], dtype: type[_Sample]) -> NDArray[_Sample]:
    """Contiguous, aligned, in native byte order; not copied if it is so already."""
    return np.require(samples, dtype, ["C", "A"])
