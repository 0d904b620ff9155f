"""FeatureGrid to perception_contrast_msgs/FeatureMap and back."""

from __future__ import annotations

import math
import sys

import numpy as np
from numpy.typing import NDArray
from perception_contrast_msgs.msg import FeatureMap
from std_msgs.msg import Header

from perception_contrast.core.arrays import FeatureArray
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.feature_grid import FeatureGrid
from perception_contrast.core.grid_to_image import GridToImage
from perception_contrast.ros.messages.image_messages import append_bytes

_TYPES = {"float16": np.dtype("<f2"), "float32": np.dtype("<f4")}


class FeatureMapError(PerceptionError):
    """A FeatureMap whose fields contradict each other."""


def _type(name: str) -> np.dtype[np.floating]:
    if name not in _TYPES:
        raise FeatureMapError(f"FeatureMap dtype '{name}' is unknown; one of {', '.join(_TYPES)}")
    return _TYPES[name]


def to_message(grid: FeatureGrid, header: Header, dtype: str = "float16") -> FeatureMap:
    """The message of a grid, values rounded to ``dtype``; ``header`` is the source image's."""
    kind = _type(dtype)
    largest = float(np.finfo(kind).max)
    values = grid.values
    if kind.itemsize < values.dtype.itemsize:
        values = _halved(np.clip(values, -largest, largest))
    map_ = grid.grid_to_image
    message = FeatureMap(header=header, model=grid.model, space=grid.space, dtype=dtype)
    message.height, message.width, message.channels = grid.shape
    message.normalized = grid.normalized
    message.image_height, message.image_width = grid.image_size
    message.grid_to_image = np.array([map_.sx, map_.sy, map_.ox, map_.oy], np.float32)
    append_bytes(message.data, values.astype(kind, copy=False))
    return message


def _halved(values: NDArray[np.float32]) -> NDArray[np.float16]:
    """To the nearest float16. PyTorch does it some twenty times as fast as NumPy, to the same bits."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(values)).half().numpy()


def to_numpy(message: FeatureMap) -> FeatureArray:
    """(height, width, channels) view on ``message.data``, without a copy, in the machine's byte order.

    Raises FeatureMapError where the size of the data is not what the fields say.
    """
    kind = _type(message.dtype)
    shape = (int(message.height), int(message.width), int(message.channels))
    # Python integers: three uint32 fields can overflow any machine word.
    expected = math.prod(shape) * kind.itemsize
    if len(message.data) != expected or expected == 0:
        raise FeatureMapError(
            f"FeatureMap of {shape[0]}x{shape[1]}x{shape[2]} {message.dtype} has {len(message.data)} bytes, "
            f"needs {expected} and more than 0"
        )
    values: NDArray[np.floating] = np.frombuffer(message.data, dtype=kind).reshape(shape)
    if sys.byteorder == "big":
        values = values.astype(kind.newbyteorder("="))
    return values


def to_grid(message: FeatureMap) -> FeatureGrid:
    """The FeatureGrid of a message; its values are a view on the message. Raises FeatureMapError."""
    sx, sy, ox, oy = (float(value) for value in message.grid_to_image)
    if not all(map(math.isfinite, (sx, sy, ox, oy))) or sx <= 0.0 or sy <= 0.0:
        raise FeatureMapError(f"FeatureMap grid_to_image [{sx}, {sy}, {ox}, {oy}] is not a map to pixels")
    return FeatureGrid(
        values=to_numpy(message),
        model=message.model,
        space=message.space,
        grid_to_image=GridToImage(sx, sy, ox, oy),
        image_size=(int(message.image_height), int(message.image_width)),
        normalized=bool(message.normalized),
    )
