"""DepthRegistration: depth brought to the pixels of the colour camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import DepthImage, Size
from perception_contrast.core.camera_model import CameraModel, project, unproject
from perception_contrast.core.errors import FrameError


@dataclass(frozen=True)
class DepthRegistration:
    """Brings depth to the colour camera's pixels, for cameras that share one optical centre and axis.

    Make it once for a pair of cameras with ``of_cameras``.

    Attributes:
        source: (height, width) of the depth image.
        index: (H, W) int64, for each colour pixel the flat position in the depth image; -1 outside of it.
    """

    source: Size
    index: NDArray[np.int64]

    @classmethod
    def of_cameras(cls, depth: CameraModel, color: CameraModel) -> DepthRegistration:
        """By both cameras' intrinsics and distortion; exact only if their optical centres coincide."""
        x, y = np.meshgrid(np.arange(color.width, dtype=float), np.arange(color.height, dtype=float))
        rays = unproject(color, np.stack([x, y], -1).reshape(-1, 2))
        column, row = np.rint(np.nan_to_num(project(depth, rays), nan=-1.0)).T
        inside = (column >= 0) & (column < depth.width) & (row >= 0) & (row < depth.height)
        index = np.where(inside, row * depth.width + column, -1).astype(np.int64)
        return cls((depth.height, depth.width), index.reshape(color.height, color.width))

    def apply(self, depth: DepthImage) -> DepthImage:
        """Depth (H, W) at the colour pixels: that of the nearest depth pixel, NaN where there is none."""
        if depth.shape != self.source:
            raise FrameError(
                "size_mismatch",
                f"depth of {depth.shape[1]}x{depth.shape[0]} does not match its camera_info of "
                f"{self.source[1]}x{self.source[0]}; give the camera_info of the depth topic",
            )
        registered = np.ravel(depth)[self.index]
        registered[self.index < 0] = np.nan
        return registered
