"""Frame, CameraModel and the affine map between a grid and the image it was made from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class GridToImage:
    """Where grid cells lie in an image, pixel centres at integer coordinates.

    The centre of cell (column i, row j) is at pixel ``(sx * i + ox, sy * j + oy)``.
    """

    sx: float
    sy: float
    ox: float
    oy: float

    @classmethod
    def of_resize(cls, source: tuple[int, int], grid: tuple[int, int]) -> GridToImage:
        """Map of a grid (rows, columns) that covers a whole image (height, width) evenly."""
        sy, sx = source[0] / grid[0], source[1] / grid[1]
        return cls(sx, sy, 0.5 * sx - 0.5, 0.5 * sy - 0.5)

    def to_image(self, column: float, row: float) -> tuple[float, float]:
        """Pixel (x, y) of a cell position."""
        return self.sx * column + self.ox, self.sy * row + self.oy

    def to_grid(self, x: float, y: float) -> tuple[float, float]:
        """Cell position (column, row), fractional, of a pixel."""
        return (x - self.ox) / self.sx, (y - self.oy) / self.sy

    def moved(self, dx: float, dy: float) -> GridToImage:
        """The map when the image is a crop whose top-left pixel lies at (dx, dy) of a larger one."""
        return self.then(GridToImage(1.0, 1.0, dx, dy))

    def then(self, outer: GridToImage) -> GridToImage:
        """The map of the same grid to the image that ``outer`` maps this image's pixels to."""
        ox, oy = outer.to_image(self.ox, self.oy)
        return GridToImage(self.sx * outer.sx, self.sy * outer.sy, ox, oy)


@dataclass(frozen=True)
class CameraModel:
    """Pinhole intrinsics in pixels (sensor_msgs/CameraInfo); optical frame: x right, y down, z forward."""

    height: int
    width: int
    fx: float
    fy: float
    cx: float
    cy: float
    distortion_model: str = ""
    distortion: tuple[float, ...] = ()


@dataclass(frozen=True)
class Frame:
    """One image of one camera.

    image: (H, W, 3) uint8 RGB. stamp: nanoseconds. frame_id: REP 105 name, carried through.
    depth: (H', W') float32 metres along the optical axis, NaN where there is none; H', W' may
    differ from H, W but cover the same view. stream: which camera, for what follows it from frame to
    frame; its frame_id where that is empty.
    """

    image: NDArray[np.uint8]
    stamp: int = 0
    frame_id: str = ""
    depth: NDArray[np.float32] | None = None
    camera: CameraModel | None = None
    stream: str = ""

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return int(self.image.shape[0]), int(self.image.shape[1])
