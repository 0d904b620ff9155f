"""Which points of the map a depth image shows, hides, or sees behind of.

Missing depth says nothing, and neither does depth that is nearer or farther than a sensor can tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import cv2
import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import DepthImage, Float64Array, FloatArray
from perception_contrast.core.camera_model import CameraModel, project, unproject
from perception_contrast.mapping.map_frame import MapFrame
from perception_contrast.mapping.objects.object_settings import ObjectSettings

# A point beside an edge may fall on the pixel next to its own.
_EDGE_PIXELS = 3


class PointState(IntEnum):
    """What a depth image says of a point."""

    UNKNOWN = 0
    SEEN = 1
    HIDDEN = 2
    BEHIND = 3


@dataclass(frozen=True)
class Visibility:
    """What a frame says of one object.

    Attributes:
        states: (n,) uint8 ``PointState`` of each of its points.
        pixels: (n, 2) int32 pixels (x, y) of each, -1 where it is UNKNOWN.
        in_view: Whether enough of it is in view and not hidden.
        through: Whether the depth sees behind most of what is in view.
    """

    states: NDArray[np.uint8]
    pixels: NDArray[np.int32]
    in_view: bool
    through: bool

    @property
    def surface(self) -> NDArray[np.int32]:
        """(m, 2) pixels of the points that are where they were."""
        return np.asarray(self.pixels[self.states == PointState.SEEN])


class DepthView:
    """A frame's depth, ready to be asked about points of the map.

    Args:
        frame: With depth, camera and pose.
        settings: Margins and limits.
    """

    def __init__(self, frame: MapFrame, settings: ObjectSettings) -> None:
        self._settings, self._camera = settings, frame.camera
        self._camera_from_map = frame.pose.inverse()
        depth = np.asarray(frame.depth, np.float32)
        with np.errstate(invalid="ignore"):
            self._known = (depth > settings.near) & (depth < settings.far)
        self._nearest = _nearest_around(depth, self._known)
        self._half_angle = _half_angle(frame.camera)

    def meeting(self, low: FloatArray, high: FloatArray) -> NDArray[np.bool_]:
        """Which boxes (n, 3), (n, 3) may be in view: a cone around the image, as far as depth is told."""
        centres = self._camera_from_map.apply((low.astype(np.float64) + high) / 2)
        radii = np.linalg.norm(high.astype(np.float64) - low, axis=1) / 2
        away = np.linalg.norm(centres, axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            angles = np.arccos(np.clip(centres[:, 2] / away, -1, 1))
            spread = np.arcsin(np.clip(radii / away, 0, 1))
        inside = away <= radii
        ahead = (angles <= self._half_angle + spread) & (away - radii < self._reach)
        return np.asarray(inside | ahead)

    @property
    def _reach(self) -> float:
        """Metres to the farthest point that the depth can tell of, off the axis included."""
        return float(self._settings.far / max(np.cos(min(self._half_angle, 1.4)), 0.1))

    def states(self, points: FloatArray) -> NDArray[np.uint8]:
        """``PointState`` (n,) of points (n, 3) in metres, map frame."""
        return self.look(points)[0]

    def look(self, points: FloatArray) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        """What the depth says of points (n, 3) in metres, map frame.

        Returns:
            ``PointState`` (n,), and the pixel (n, 2) as (x, y) of each, -1 where it is UNKNOWN.
        """
        result = np.full(len(points), PointState.UNKNOWN, np.uint8)
        where = np.full((len(points), 2), -1, np.int32)
        seen_from = self._camera_from_map.apply(np.asarray(points, np.float64))
        pixels = project(self._camera, seen_from)
        height, width = self._known.shape
        with np.errstate(invalid="ignore"):
            inside = ((pixels > -0.5) & (pixels < np.array([width, height]) - 0.5)).all(axis=1)
        rows = np.flatnonzero(inside)
        columns, lines = np.round(pixels[rows]).astype(np.int32).T
        told = self._known[lines, columns]
        rows, columns, lines = rows[told], columns[told], lines[told]
        result[rows] = self._compared(seen_from[rows, 2], self._nearest[lines, columns])
        where[rows, 0], where[rows, 1] = columns, lines
        return result, where

    def _compared(self, z: Float64Array, nearest: FloatArray) -> NDArray[np.uint8]:
        margin = np.maximum(self._settings.margin, self._settings.margin_slope * z)
        states = np.full(len(z), PointState.SEEN, np.uint8)
        states[nearest < z - margin] = PointState.HIDDEN
        states[nearest > z + margin] = PointState.BEHIND
        return states

    def judged(self, states: NDArray[np.uint8], pixels: NDArray[np.int32]) -> Visibility:
        """What the looks (n,), (n, 2) at an object's points say of the object."""
        behind = int(np.count_nonzero(states == PointState.BEHIND))
        visible = behind + int(np.count_nonzero(states == PointState.SEEN))
        least = max(self._settings.visible_points, self._settings.visible_share * len(states))
        in_view = visible >= min(least, len(states))
        through = in_view and behind > self._settings.seen_through * visible
        return Visibility(states, pixels, in_view, through)


def _nearest_around(depth: DepthImage, known: NDArray[np.bool_]) -> FloatArray:
    """The nearest known depth around each pixel: what is seen behind there is behind of all of them."""
    filled = np.where(known, depth, np.float32(np.inf))
    kernel = np.ones((_EDGE_PIXELS, _EDGE_PIXELS), np.uint8)
    return np.asarray(cv2.erode(filled, kernel, borderType=cv2.BORDER_REPLICATE), np.float32)


def _half_angle(camera: CameraModel) -> float:
    """Radians from the optical axis to the farthest corner of the image."""
    right, bottom = camera.width - 0.5, camera.height - 0.5
    corners = np.array([(-0.5, -0.5), (right, -0.5), (-0.5, bottom), (right, bottom)])
    rays = unproject(camera, corners)
    return float(np.arccos(rays[:, 2] / np.linalg.norm(rays, axis=1)).max())
