"""Images: sensor_msgs to and from arrays and Frame.

Headers pass through as objects, so stamp and frame_id leave exactly as they came in.
"""

from __future__ import annotations

import array
import sys
from typing import Any

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from perception_contrast.core.camera_model import CameraModel
from perception_contrast.core.errors import FrameError
from perception_contrast.core.frame import Frame
from perception_contrast.images import decode
from perception_contrast.images.pixel_rows import pixel_rows

_ENCODINGS = {
    ("u1", 2): "mono8",
    ("u1", 3): "rgb8",
    ("u2", 2): "mono16",
    ("f4", 2): "32FC1",
}


def nanoseconds(stamp: Time) -> int:
    """builtin_interfaces/Time as nanoseconds."""
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def time_message(stamp: int) -> Time:
    """Nanoseconds as builtin_interfaces/Time."""
    return Time(sec=stamp // 1_000_000_000, nanosec=stamp % 1_000_000_000)


def frame_header(frame: Frame) -> Header:
    """Stamp and frame_id of a frame."""
    return Header(stamp=time_message(frame.stamp), frame_id=frame.frame_id)


def byte_array(values: NDArray[np.generic]) -> array.array[int]:
    """Bytes of an array as ``array('B')``, which a message's setter takes."""
    data = array.array("B")
    append_bytes(data, values)
    return data


def append_bytes(data: array.array[int], values: NDArray[np.generic]) -> None:
    """Copies an array's bytes to the end of a message's ``data``.

    Into the empty one of a new message this is the only copy; its setter makes another.
    """
    data.frombytes(np.ascontiguousarray(values).reshape(-1).view(np.uint8))


def image_message(values: NDArray[np.generic], header: Header, encoding: str = "") -> Image:
    """An array as an Image, little endian, rows without padding.

    uint8 (H, W, 3) becomes rgb8, uint8 (H, W) mono8, uint16 (H, W) mono16, float32 (H, W) 32FC1;
    ``encoding`` overrides the name only (16UC1 for mono16). ValueError for anything else.
    """
    kind = (values.dtype.str[1:], values.ndim)
    if kind not in _ENCODINGS or (values.ndim == 3 and values.shape[2] != 3):
        raise ValueError(f"no image encoding for an array of shape {values.shape} and type {values.dtype}")
    if values.dtype.byteorder == ">" or (values.dtype.byteorder == "=" and sys.byteorder == "big"):
        values = values.astype(values.dtype.newbyteorder("<"))
    message = Image(header=header, encoding=encoding or _ENCODINGS[kind])
    message.height, message.width = int(values.shape[0]), int(values.shape[1])
    message.step = int(np.prod(values.shape[1:])) * values.dtype.itemsize
    append_bytes(message.data, values)
    return message


def jpeg_message(rgb: NDArray[np.uint8], header: Header, quality: int) -> CompressedImage:
    """An image (H, W, 3) RGB as JPEG, with the format's name as image_transport writes it.

    quality: 1 to 100.
    """
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return CompressedImage(header=header, format="rgb8; jpeg compressed bgr8", data=byte_array(encoded))


def image_array(message: Image | CompressedImage) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB of an Image or a CompressedImage. Raises FrameError."""
    return decode.decode_message(message)


def depth_array(message: Image) -> NDArray[np.float32]:
    """(H, W) float32 metres, NaN where there is none, of a 16UC1 or 32FC1 Image. Raises FrameError."""
    return decode.decode_depth_message(message)


def channel_array(message: Any, encoding: str, dtype: str) -> NDArray[Any]:
    """(H, W) view on an Image of one little-endian channel. Raises FrameError."""
    if message.encoding != encoding or message.is_bigendian:
        raise FrameError(
            "unknown_encoding", f"an image of {message.encoding} was received; expected {encoding}"
        )
    return pixel_rows(
        message.data,
        height=int(message.height),
        width=int(message.width),
        step=int(message.step),
        channels=1,
        dtype=np.dtype(dtype),
        what=f"a {encoding} image",
    )


def camera_info_message(camera: CameraModel, header: Header) -> CameraInfo:
    """CameraInfo of an unrectified or ideal pinhole camera: R is identity, P is [K | 0]."""
    message = CameraInfo(header=header, height=camera.height, width=camera.width)
    message.distortion_model = camera.distortion_model or "plumb_bob"
    message.d = list(camera.distortion) or [0.0] * 5
    message.k = [camera.fx, 0.0, camera.cx, 0.0, camera.fy, camera.cy, 0.0, 0.0, 1.0]
    message.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    message.p = [camera.fx, 0.0, camera.cx, 0.0, 0.0, camera.fy, camera.cy, 0.0, 0.0, 0.0, 1.0, 0.0]
    return message


def frame_from_message(
    message: Image | CompressedImage,
    *,
    depth: NDArray[np.float32] | None = None,
    camera: CameraModel | None = None,
    stream: str = "",
) -> Frame:
    """A Frame of an image message and, where known, the depth, calibration and camera that go with it.

    Raises FrameError.
    """
    stamp, frame_id = nanoseconds(message.header.stamp), message.header.frame_id
    return Frame(image_array(message), stamp, frame_id, depth, camera, stream)
