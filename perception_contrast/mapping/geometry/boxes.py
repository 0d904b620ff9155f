"""Box3D: a box that may be turned about the vertical axis, fitted to points robustly."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import BoolMask, Float64Array
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.rigid_transform import RigidTransform

# Share of the points that may lie outside at each end of an axis.
TRIM = 0.02
# A turned box is taken where its footprint is at most this share of the upright one's: noise alone turns the
# smallest rectangle around a few points of a round thing.
TURNED_FROM = 0.85
# Least metres of a side: one flat surface still has a box with a volume.
LEAST_SIDE = 0.01


@dataclass(frozen=True)
class Box3D:
    """A box whose sides are vertical, in a frame whose z points up.

    With ``yaw`` 0 it is aligned with the axes of any frame, such as a camera's optical frame.

    Attributes:
        center: (3,) float64 metres.
        size: (3,) float64 metres along the box's own x, y, z.
        yaw: Radians by which the box's x is turned from the frame's x about its z, in [-pi/2, pi/2).
    """

    center: Float64Array
    size: Float64Array
    yaw: float = 0.0

    @classmethod
    def aligned(cls, points: NDArray[Any], trim: float = TRIM) -> Box3D:
        """The box of points along the axes of their frame.

        Args:
            points: (n, 3) metres, at least one.
            trim: Share of the points that may lie outside at each end of an axis; 0 takes them all in.

        Raises:
            PerceptionError: Without points.
        """
        return cls._fitted(_checked(points), 0.0, trim)

    @classmethod
    def turned(cls, points: NDArray[Any], trim: float = TRIM) -> Box3D:
        """The box of points in a frame with z up, turned about z where that makes it clearly smaller.

        The direction is that of the smallest rectangle around the footprint of the points without the outer
        ones.

        Args:
            points: (n, 3) metres, at least one.
            trim: As of ``aligned``.

        Raises:
            PerceptionError: Without points.
        """
        points = _checked(points)
        straight = cls._fitted(points, 0.0, trim)
        inner = points[straight.contains(points)]
        _, _, degrees = cv2.minAreaRect(inner[:, :2].astype(np.float32)) if len(inner) >= 3 else (0, 0, 0.0)
        turned = cls._fitted(points, math.radians(degrees), trim)
        smaller = turned.size[0] * turned.size[1] <= TURNED_FROM * straight.size[0] * straight.size[1]
        return turned if smaller else straight

    @classmethod
    def _fitted(cls, points: Float64Array, yaw: float, trim: float) -> Box3D:
        """The box of a direction; its longer horizontal side becomes x where it is turned."""
        own = points @ _about_z(yaw)
        low, high = np.quantile(own, [trim, 1.0 - trim], axis=0)
        size = np.maximum(high - low, LEAST_SIDE)
        center = _about_z(yaw) @ ((low + high) / 2)
        if yaw and size[1] > size[0]:
            size, yaw = size[[1, 0, 2]], yaw + math.pi / 2
        return cls(center, size, _half_turn(yaw))

    @property
    def rotation(self) -> Float64Array:
        """(3, 3) columns are the box's axes in the frame."""
        return _about_z(self.yaw)

    @property
    def quaternion(self) -> Float64Array:
        """(4,) float64 (x, y, z, w) of ``yaw``."""
        return np.array([0.0, 0.0, math.sin(self.yaw / 2), math.cos(self.yaw / 2)])

    @property
    def corners(self) -> Float64Array:
        """(8, 3) metres; the first four are the lower ones, in turn around the box."""
        signs = np.array(
            [[x, y, z] for z in (-1, 1) for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))], dtype=float
        )
        return np.asarray(signs * self.size / 2 @ self.rotation.T + self.center)

    @property
    def low(self) -> Float64Array:
        """(3,) least coordinates of the corners, metres."""
        return np.asarray(self.corners.min(axis=0))

    @property
    def high(self) -> Float64Array:
        """(3,) largest coordinates of the corners, metres."""
        return np.asarray(self.corners.max(axis=0))

    @property
    def volume(self) -> float:
        """Cubic metres."""
        return float(np.prod(self.size))

    def contains(self, points: NDArray[Any], margin: float = 0.0) -> BoolMask:
        """Which points (n, 3) lie inside the box grown by ``margin`` metres on each side; (n,) bool."""
        own = (np.asarray(points, float) - self.center) @ self.rotation
        return np.asarray((np.abs(own) <= self.size / 2 + margin + 1e-9).all(axis=1))

    def distance(self, points: NDArray[Any]) -> Float64Array:
        """(n,) metres from points (n, 3) to the box; 0 inside."""
        own = (np.asarray(points, float) - self.center) @ self.rotation
        return np.asarray(np.linalg.norm(np.maximum(np.abs(own) - self.size / 2, 0.0), axis=1))

    def iou(self, other: Box3D) -> float:
        """Volume of both over volume of either, in [0, 1]; exact for turned boxes."""
        high = min(self.center[2] + self.size[2] / 2, other.center[2] + other.size[2] / 2)
        low = max(self.center[2] - self.size[2] / 2, other.center[2] - other.size[2] / 2)
        if high <= low:
            return 0.0
        shared = float(high - low) * _shared_area(self, other)
        return shared / (self.volume + other.volume - shared)

    def moved(self, transform: RigidTransform) -> Box3D:
        """The box in another frame.

        Exact where the transform turns about z alone, as between maps; else the box around the corners, along
        the axes of the new frame.

        Args:
            transform: The new frame from the present one.
        """
        if math.isclose(transform.rotation[2, 2], 1.0, abs_tol=1e-9):
            turn = math.atan2(transform.rotation[1, 0], transform.rotation[0, 0])
            center = transform.apply(self.center[None])[0]
            return Box3D(center, self.size, _half_turn(self.yaw + turn))
        return Box3D.aligned(transform.apply(self.corners), trim=0.0)


def _checked(points: NDArray[Any]) -> Float64Array:
    points = np.asarray(points, float).reshape(-1, 3)
    if not len(points):
        raise PerceptionError("a box needs at least one point; leave out what has no depth")
    return points


def _about_z(yaw: float) -> Float64Array:
    sine, cosine = math.sin(yaw), math.cos(yaw)
    return np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])


def _half_turn(yaw: float) -> float:
    """The same direction of a box within [-pi/2, pi/2)."""
    return (yaw + math.pi / 2) % math.pi - math.pi / 2


def _shared_area(first: Box3D, second: Box3D) -> float:
    """Square metres of both footprints. Around the first one's centre, since OpenCV computes in float32."""
    rectangles = [
        (
            tuple((one.center - first.center)[:2].tolist()),
            tuple(one.size[:2].tolist()),
            math.degrees(one.yaw),
        )
        for one in (first, second)
    ]
    _, polygon = cv2.rotatedRectangleIntersection(*rectangles)
    return 0.0 if polygon is None else float(cv2.contourArea(cv2.convexHull(polygon)))
