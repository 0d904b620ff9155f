"""DepthRegistration: depth brought to the pixels of the colour camera."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import DepthImage, FloatArray, Size
from perception_contrast.core.camera_model import CameraModel, project, unproject
from perception_contrast.core.errors import FrameError
from perception_contrast.core.rigid_transform import RigidTransform

# Colour pixels that one depth pixel may cover along a row or a column: it bounds the work for a pixel that
# lies much nearer to the colour camera than to the depth camera.
_MOST_COVERED = 8
# Neighbouring depth pixels overlap by this share, so that slanted surfaces get no cracks.
_OVERLAP = 1.1

_Pixels: TypeAlias = NDArray[np.int32]


@dataclass(frozen=True)
class DepthRegistration:
    """Brings depth to the colour camera's pixels. Make it once for a pair of cameras with ``of_cameras``.

    Attributes:
        source: (height, width) of the depth image.
    """

    source: Size
    _mapping: _SharedCentre | _Reprojection

    @classmethod
    def of_cameras(
        cls, depth: CameraModel, color: CameraModel, color_from_depth: RigidTransform | None = None
    ) -> DepthRegistration:
        """The registration by both cameras' intrinsics and distortion.

        Args:
            depth: Camera of the depth image.
            color: Camera that the depth is brought to.
            color_from_depth: The depth camera's optical frame in the colour camera's. None where both have
                one optical centre and axis, or are so near that their distance does not matter: then each
                colour pixel takes one depth pixel, whatever the distance, and nothing is hidden.
        """
        mapping: _SharedCentre | _Reprojection = _SharedCentre.of_cameras(depth, color)
        if color_from_depth is not None and any(color_from_depth.difference(RigidTransform.identity())):
            mapping = _Reprojection.of_cameras(depth, color, color_from_depth)
        return cls((depth.height, depth.width), mapping)

    def apply(self, depth: DepthImage) -> DepthImage:
        """Depth at the colour camera's pixels, along the colour camera's axis.

        Args:
            depth: (h, w) float32 metres of the depth camera.

        Returns:
            (H, W) float32 metres, that of the nearest surface at each pixel; NaN where there is none.

        Raises:
            FrameError: "size_mismatch" for depth of another size than its camera's.
        """
        if depth.shape != self.source:
            raise FrameError(
                "size_mismatch",
                f"depth of {depth.shape[1]}x{depth.shape[0]} does not match its camera_info of "
                f"{self.source[1]}x{self.source[0]}; give the camera_info of the depth topic",
            )
        return self._mapping.apply(depth)


@dataclass(frozen=True)
class _SharedCentre:
    """For cameras with one optical centre. index: (H, W) flat positions in the depth image, -1 outside."""

    index: NDArray[np.int64]

    @classmethod
    def of_cameras(cls, depth: CameraModel, color: CameraModel) -> _SharedCentre:
        x, y = np.meshgrid(np.arange(color.width, dtype=float), np.arange(color.height, dtype=float))
        rays = unproject(color, np.stack([x, y], -1).reshape(-1, 2))
        column, row = np.rint(np.nan_to_num(project(depth, rays), nan=-1.0)).T
        inside = (column >= 0) & (column < depth.width) & (row >= 0) & (row < depth.height)
        index = np.where(inside, row * depth.width + column, -1).astype(np.int64)
        return cls(index.reshape(color.height, color.width))

    def apply(self, depth: DepthImage) -> DepthImage:
        registered = np.ravel(depth)[self.index]
        registered[self.index < 0] = np.nan
        return registered


@dataclass(frozen=True)
class _Reprojection:
    """For cameras apart: each depth pixel covers its footprint in the colour image, the nearest wins.

    Attributes:
        color: The colour camera.
        rays: (3, h * w) float32 rays of the depth pixels at one metre, in the colour camera's axes.
        origin: (3,) float32, the depth camera's centre in the colour camera's frame, metres.
        scale: Colour pixels per depth pixel along x and y, at one distance from both.
    """

    color: CameraModel
    rays: FloatArray
    origin: FloatArray
    scale: tuple[float, float]

    @classmethod
    def of_cameras(
        cls, depth: CameraModel, color: CameraModel, color_from_depth: RigidTransform
    ) -> _Reprojection:
        x, y = np.meshgrid(np.arange(depth.width, dtype=float), np.arange(depth.height, dtype=float))
        rays = color_from_depth.rotation @ unproject(depth, np.stack([x, y], -1).reshape(-1, 2)).T
        scale = (color.fx / depth.fx, color.fy / depth.fy)
        return cls(color, rays.astype(np.float32), color_from_depth.translation.astype(np.float32), scale)

    def apply(self, depth: DepthImage) -> DepthImage:
        measured = np.ravel(depth)
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            x, y, z = (ray * measured + start for ray, start in zip(self.rays, self.origin, strict=True))
            # Nothing of what is NaN, infinite or behind either camera is true of any comparison.
            sighted = np.flatnonzero((measured > 0) & (z > 0) & (z < np.inf))
        x, y, z, measured = x[sighted], y[sighted], z[sighted], measured[sighted]
        columns, rows = self._pixels(x, y, z)
        closeness = _OVERLAP * measured / z
        left, right = _covered(columns, self.scale[0] * closeness, self.color.width)
        top, bottom = _covered(rows, self.scale[1] * closeness, self.color.height)
        seen = np.flatnonzero((left <= right) & (top <= bottom))
        return self._nearest(left[seen], right[seen], top[seen], bottom[seen], z[seen])

    def _pixels(self, x: FloatArray, y: FloatArray, z: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Columns and rows of points in front of the colour camera."""
        color = self.color
        if color.distortion:
            columns, rows = project(color, np.stack([x, y, z], axis=1).astype(float)).T.astype(np.float32)
            return columns, rows
        return x / z * color.fx + color.cx, y / z * color.fy + color.cy

    def _nearest(
        self, left: _Pixels, right: _Pixels, top: _Pixels, bottom: _Pixels, z: FloatArray
    ) -> DepthImage:
        """The smallest z of boxes of pixels, all of whose sides belong to them."""
        nearest = np.full(self.color.height * self.color.width, np.inf, np.float32)
        wide, high = right - left, bottom - top
        corner = top.astype(np.intp) * self.color.width + left
        for down in range(int(high.max(initial=-1)) + 1):
            for across in range(int(wide.max(initial=-1)) + 1):
                drawn = np.flatnonzero((wide >= across) & (high >= down))
                np.minimum.at(nearest, corner[drawn] + (down * self.color.width + across), z[drawn])
        nearest[np.isinf(nearest)] = np.nan
        return nearest.reshape(self.color.height, self.color.width)


def _covered(centre: FloatArray, length: FloatArray, pixels: int) -> tuple[_Pixels, _Pixels]:
    """First and last pixel of a row that lie within ``length`` around positions; first > last for none."""
    half = np.clip(length, 1.0, _MOST_COVERED) / 2
    inside = np.clip(centre, -_MOST_COVERED, pixels + _MOST_COVERED)
    first, last = np.ceil(inside - half).astype(np.int32), np.ceil(inside + half).astype(np.int32) - 1
    return np.maximum(first, 0), np.minimum(last, pixels - 1)
