"""The map's surface as messages: a cloud of points, and a mesh of coloured triangles."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Vector3
from numpy.typing import NDArray
from rclpy.serialization import serialize_message
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker

from perception_contrast.core.arrays import FloatArray
from perception_contrast.core.errors import FrameError
from perception_contrast.ros.messages.image_messages import append_bytes

MESH_NAMESPACE = "surface"

_POINT = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("rgb", "<u4"), ("intensity", "<f4")])
_FIELDS = [
    PointField(name=name, offset=_POINT.fields[name][1], datatype=PointField.FLOAT32, count=1)
    for name in _POINT.names
]
_ENCAPSULATION = 4
"""Bytes of a serialized message before its content, from which alignment counts."""
_LITTLE_ENDIAN = b"\x00\x01"


def cloud_message(
    points: FloatArray,
    colors: NDArray[np.uint8],
    header: Header,
    intensity: FloatArray | None = None,
) -> PointCloud2:
    """Points as PointCloud2 with x, y, z, rgb and intensity, all FLOAT32, little endian and without padding.

    Args:
        points: (n, 3) metres in the frame of ``header``.
        colors: (n, 3) uint8 RGB; packed as 0x00RRGGBB into the bits of ``rgb``, as PCL and RViz read it.
        header: Of the message.
        intensity: (n,) how well each point fits a query; 0 where there is none.
    """
    packed = np.zeros(len(points), _POINT)
    packed["x"], packed["y"], packed["z"] = points.T
    red, green, blue = colors.astype(np.uint32).T
    packed["rgb"] = red << 16 | green << 8 | blue
    if intensity is not None:
        packed["intensity"] = intensity
    message = PointCloud2(header=header, height=1, width=len(points), fields=_FIELDS, is_dense=True)
    message.point_step, message.row_step = _POINT.itemsize, _POINT.itemsize * len(points)
    append_bytes(message.data, packed)
    return message


def mesh_bytes(
    vertices: FloatArray, triangles: NDArray[np.int32], colors: NDArray[np.uint8], header: Header
) -> bytes:
    """A TRIANGLE_LIST Marker in the form in which it is sent; give it to ``Publisher.publish`` as it is.

    A Marker holds an object for each corner and each colour, which takes seconds for a room. So the corners
    are written into the serialized message, whose rest rclpy makes.

    Args:
        vertices: (n, 3) metres in the frame of ``header``.
        triangles: (m, 3) numbers of vertices.
        colors: (n, 3) uint8 RGB.
        header: Of the message.

    Returns:
        A visualization_msgs/Marker in CDR, little endian; a DELETE without triangles.
    """
    marker = Marker(header=header, ns=MESH_NAMESPACE, type=Marker.TRIANGLE_LIST, action=Marker.ADD)
    marker.pose.orientation.w, marker.scale = 1.0, Vector3(x=1.0, y=1.0, z=1.0)
    marker.color = ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0)
    corners = triangles.reshape(-1)
    if not len(corners):
        marker.action = Marker.DELETE
        return bytes(serialize_message(marker))
    empty = serialize_message(marker)
    begin = _ENCAPSULATION + _points_offset(marker)
    paint = np.ones((len(vertices), 4), "<f4")
    paint[:, :3] = colors / np.float32(255.0)
    padding = bytes(-(begin + 4 - _ENCAPSULATION) % 8)
    count = np.uint32(len(corners)).astype("<u4").tobytes()
    places = vertices.astype("<f8")[corners].tobytes()
    rest = empty[begin + 8 :]
    return b"".join([empty[:begin], count, padding, places, count, paint[corners].tobytes(), rest])


def mesh_corners(data: bytes) -> tuple[Header, NDArray[np.float32], NDArray[np.uint8]]:
    """The corners of a serialized Marker: what ``mesh_bytes`` wrote, without an object for each of them.

    Args:
        data: A visualization_msgs/Marker in CDR, little endian.

    Returns:
        Its header, corners (3 m, 3) in metres and colours (3 m, 3) RGB; none of them for a DELETE.

    Raises:
        FrameError: It is no such message, or a part is missing.
    """
    try:
        if data[:2] != _LITTLE_ENDIAN:
            raise FrameError("unknown_encoding", "a mesh is not little-endian CDR; use Fast DDS")
        body = memoryview(data)[_ENCAPSULATION:]
        seconds, nanoseconds = struct.unpack_from("<iI", body)
        frame, end = _text(body, 8)
        _, end = _text(body, end)
        header = Header(stamp=Time(sec=seconds, nanosec=nanoseconds), frame_id=frame)
        offset = _rest_offset(end)
        places, offset = _sequence(body, offset, "<f8", 3)
        paint, _ = _sequence(body, offset, "<f4", 4)
    except (struct.error, ValueError) as error:
        raise FrameError("data_too_short", "a mesh ends before its last corner") from error
    if len(places) != len(paint) or len(places) % 3:
        raise FrameError("data_too_short", f"a mesh has {len(places)} corners and {len(paint)} colours")
    colors = np.rint(np.clip(paint[:, :3], 0.0, 1.0) * 255.0).astype(np.uint8)
    return header, places.astype(np.float32), colors


def _text(body: memoryview, offset: int) -> tuple[str, int]:
    """A string and where it ends. Raises struct.error, ValueError."""
    begin = _aligned(offset, 4)
    (length,) = struct.unpack_from("<I", body, begin)
    end = begin + 4 + length
    if not length or end > len(body):
        raise ValueError("a string is longer than its message")
    return bytes(body[begin + 4 : end - 1]).decode(), end


def _sequence(body: memoryview, offset: int, kind: str, columns: int) -> tuple[NDArray[Any], int]:
    """(n, columns) of a sequence of n structures, and where it ends. Raises struct.error, ValueError."""
    begin = _aligned(offset, 4)
    (count,) = struct.unpack_from("<I", body, begin)
    begin += 4
    if count:
        begin = _aligned(begin, np.dtype(kind).itemsize)
    values = np.frombuffer(body, kind, count * columns, begin) if count else np.zeros(0, kind)
    return values.reshape(-1, columns), begin + values.nbytes


def _points_offset(marker: Marker) -> int:
    """Bytes of a serialized Marker before the number of its points, without the encapsulation."""
    offset = 8  # stamp
    for text in (marker.header.frame_id, marker.ns):
        offset = _aligned(offset, 4) + 4 + len(text.encode()) + 1
    return _rest_offset(offset)


def _rest_offset(offset: int) -> int:
    """Where the number of points stands, behind the header and namespace that end at ``offset``."""
    offset = _aligned(offset, 4) + 3 * 4  # id, type, action
    offset = _aligned(offset, 8) + 10 * 8  # pose, scale
    return _aligned(offset + 4 * 4 + 8 + 1, 4)  # color, lifetime, frame_locked


def _aligned(offset: int, size: int) -> int:
    return -(-offset // size) * size
