"""The layers of a map as arrays: cloud, grid, mesh."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import PointField

from perception_contrast.client.identified_results import MessageError
from perception_contrast.client.result_types import Stamped
from perception_contrast.images.pixel_rows import pixel_rows
from perception_contrast.ros.mapping.surface_messages import mesh_corners


@dataclass(frozen=True)
class MapCloud(Stamped):
    """The surface as points in the map.

    Attributes:
        points: (n, 3) float32 metres.
        rgb: (n, 3) uint8.
        intensity: (n,) float32, cosine with the best of the map_node's parameter ``queries``; 0 for none.
    """

    points: NDArray[np.float32]
    rgb: NDArray[np.uint8]
    intensity: NDArray[np.float32]


@dataclass(frozen=True)
class MapGrid(Stamped):
    """The ground from above.

    Attributes:
        cells: (rows, columns) int8, a view on the message: 0 free, 100 occupied, -1 unknown; of the semantic
            grid 0 to 100. A row lies along the map's x, and rows follow each other along its y.
        resolution: Side of a cell in metres.
        origin: x, y, z in metres of the outer corner of cell (0, 0).
    """

    cells: NDArray[np.int8]
    resolution: float
    origin: tuple[float, float, float]


@dataclass(frozen=True)
class MapMesh(Stamped):
    """The surface as coloured triangles: rows 3 i to 3 i + 2 are the corners of triangle i.

    Attributes:
        vertices: (3 m, 3) float32 metres.
        colors: (3 m, 3) uint8 RGB.
    """

    vertices: NDArray[np.float32]
    colors: NDArray[np.uint8]


def cloud_from_message(message: Any) -> MapCloud:
    """Of a sensor_msgs/PointCloud2 with float32 x, y, z; rgb and intensity are 0 where they are not there.

    Raises:
        MessageError: Its fields contradict each other, or it is none of these.
        FrameError: It has less data than it says.
    """
    names = {one.name: one for one in message.fields if one.datatype == PointField.FLOAT32}
    if not {"x", "y", "z"} <= set(names) or message.is_bigendian:
        raise MessageError("a cloud has no x, y, z of 4 bytes with the least first; publish FLOAT32")
    chosen = {name: int(names[name].offset) for name in ("x", "y", "z", "rgb", "intensity") if name in names}
    step, count = int(message.point_step), int(message.width) * int(message.height)
    if step < 1 or max(chosen.values()) + 4 > step:
        raise MessageError(f"a cloud has points of {step} bytes and fields beyond them")
    if not count:
        nowhere, black = np.zeros((0, 3), np.float32), np.zeros((0, 3), np.uint8)
        return MapCloud(message.header, nowhere, black, np.zeros(0, np.float32))
    rows = pixel_rows(
        message.data,
        height=int(message.height),
        width=int(message.width) * step,
        step=int(message.row_step),
        channels=1,
        dtype=np.dtype(np.uint8),
        what="a cloud",
    )
    data = np.ascontiguousarray(rows).reshape(count, step)

    def column(name: str, kind: str) -> NDArray[Any]:
        if name not in chosen:
            return np.zeros(count, kind)
        return np.ascontiguousarray(data[:, chosen[name] : chosen[name] + 4]).view(kind)[:, 0]

    points = np.stack([column(axis, "<f4") for axis in "xyz"], axis=1)
    packed = column("rgb", "<u4")
    rgb = np.stack([packed >> 16, packed >> 8, packed], axis=1).astype(np.uint8)
    return MapCloud(message.header, points, rgb, column("intensity", "<f4"))


def grid_from_message(message: Any) -> MapGrid:
    """Of a nav_msgs/OccupancyGrid. Raises MessageError for another number of cells than it says."""
    cells, info = np.asarray(message.data, np.int8), message.info
    if len(cells) != info.height * info.width:
        raise MessageError(f"a grid of {info.height} x {info.width} has {len(cells)} cells")
    origin = info.origin.position
    place = (float(origin.x), float(origin.y), float(origin.z))
    return MapGrid(message.header, cells.reshape(info.height, info.width), float(info.resolution), place)


def mesh_from_bytes(data: bytes) -> MapMesh:
    """Of a serialized visualization_msgs/Marker of triangles. Raises FrameError."""
    header, vertices, colors = mesh_corners(data)
    return MapMesh(header, vertices, colors)
