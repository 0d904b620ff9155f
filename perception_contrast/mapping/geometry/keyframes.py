"""Keyframes of the surface: compressed depth and colour by pose, a bounded number spread by place.

The surface is rebuilt from them where poses change.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import Float64Array, FloatArray, RgbImage
from perception_contrast.core.camera_model import CameraModel
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.rigid_transform import RigidTransform

DepthUnits = NDArray[np.uint16]
"""(H, W) uint16 millimetres, 0 for none."""

DEPTH_SCALE = 1000.0
KEYFRAME_ARRAYS = ("images", "lengths", "cameras", "poses", "submaps", "stamps")
_JPEG_QUALITY = 85
# A new view is kept where no other one of its submap is nearer than this.
_LEAST_METRES, _LEAST_RADIANS = 0.15, math.radians(12.0)
# So many metres count as much as a radian where views are compared.
_METRES_A_RADIAN = _LEAST_METRES / _LEAST_RADIANS


@dataclass(frozen=True)
class PinholeView:
    """Depth and colour of one rectified camera.

    Attributes:
        depth: (H, W) uint16 millimetres, 0 for none.
        colors: (H, W, 3) uint8 RGB, black where there is no depth; None without colours.
        camera: Without distortion, of this size.
        pose: The optical frame in the map.
        stamp: Nanoseconds.
    """

    depth: DepthUnits
    colors: RgbImage | None
    camera: CameraModel
    pose: RigidTransform
    stamp: int


@dataclass(frozen=True)
class Keyframe:
    """A view, compressed: depth as PNG, colours as JPEG (empty without colours)."""

    depth: bytes
    colors: bytes
    camera: CameraModel
    pose: RigidTransform
    stamp: int
    submap: int

    @classmethod
    def of_view(cls, view: PinholeView, submap: int) -> Keyframe:
        """Compresses a view."""
        depth = cv2.imencode(".png", view.depth, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
        colors = b""
        if view.colors is not None:
            bgr = cv2.cvtColor(view.colors, cv2.COLOR_RGB2BGR)
            colors = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes()
        return cls(depth, colors, view.camera, view.pose, view.stamp, submap)

    def view(self) -> PinholeView:
        """The view again; its depth is exact.

        Raises:
            PerceptionError: The bytes are damaged.
        """
        depth = _decoded(self.depth, cv2.IMREAD_UNCHANGED)
        colors = (
            cv2.cvtColor(_decoded(self.colors, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB) if self.colors else None
        )
        size = (self.camera.height, self.camera.width)
        if (
            depth.dtype != np.uint16
            or depth.shape != size
            or (colors is not None and colors.shape[:2] != size)
        ):
            raise PerceptionError(
                "a keyframe of the map has another size than its camera; the map is damaged"
            )
        return PinholeView(depth, colors, self.camera, self.pose, self.stamp)

    @property
    def bytes(self) -> int:
        """Of its images."""
        return len(self.depth) + len(self.colors)


class Keyframes:
    """Keyframes, at most ``limit`` of them; where there are more, one of the two nearest goes.

    Args:
        limit: Number of keyframes.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._kept: list[Keyframe] = []

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[Keyframe]:
        return iter(self._kept)

    @property
    def bytes(self) -> int:
        """Of all images."""
        return sum(one.bytes for one in self._kept)

    def offer(self, view: PinholeView, submap: int) -> bool:
        """Keeps a view where none of its submap was like it; says whether it did."""
        there = [one.pose for one in self._kept if one.submap == submap]
        if self.limit < 1 or (there and _distances([view.pose], there).min() < _LEAST_METRES):
            return False
        self._kept.append(Keyframe.of_view(view, submap))
        if len(self._kept) > self.limit:
            self._drop_one()
        return True

    def move(self, moves: Mapping[int, RigidTransform]) -> None:
        """Moves the poses of each submap by its ``new_map_from_old_map``."""
        self._kept = [
            replace(one, pose=moves[one.submap] @ one.pose) if one.submap in moves else one
            for one in self._kept
        ]

    def blank(self, low: Float64Array, high: Float64Array) -> None:
        """Takes what lies between the corners ``low`` and ``high`` (3,) out of all images."""
        self._kept = [_blanked(one, low, high) for one in self._kept]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """For saving: ``images`` (b,) uint8, ``lengths`` (n, 2) int64, ``cameras`` (n, 6) and ``poses``
        (n, 4, 4) float64, ``submaps`` (n,) int32 and ``stamps`` (n,) int64."""
        images = b"".join(one.depth + one.colors for one in self._kept)
        cameras = [(c.height, c.width, c.fx, c.fy, c.cx, c.cy) for c in (one.camera for one in self._kept)]
        poses = np.tile(np.eye(4), (len(self._kept), 1, 1))
        for matrix, one in zip(poses, self._kept, strict=True):
            matrix[:3, :3], matrix[:3, 3] = one.pose.rotation, one.pose.translation
        return {
            "images": np.frombuffer(images, np.uint8).copy(),
            "lengths": np.array([(len(one.depth), len(one.colors)) for one in self._kept], np.int64).reshape(
                -1, 2
            ),
            "cameras": np.array(cameras, np.float64).reshape(-1, 6),
            "poses": poses,
            "submaps": np.array([one.submap for one in self._kept], np.int32),
            "stamps": np.array([one.stamp for one in self._kept], np.int64),
        }

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[Any]], limit: int) -> Keyframes:
        """The keyframes of ``arrays``.

        Raises:
            PerceptionError: The arrays do not fit each other.
        """
        lengths, images = np.asarray(arrays["lengths"]), arrays["images"].tobytes()
        count = len(lengths)
        shapes = {"lengths": (count, 2), "cameras": (count, 6), "poses": (count, 4, 4)}
        shapes |= {"submaps": (count,), "stamps": (count,)}
        fits = all(arrays[name].shape == shape for name, shape in shapes.items())
        if not fits or (lengths < 0).any() or lengths.sum() != len(images):
            raise PerceptionError("the keyframes of the map do not fit their lengths; the map is damaged")
        ends = np.cumsum(lengths)
        parts = [images[end - length : end] for end, length in zip(ends, lengths.ravel(), strict=True)]
        kept = cls(limit)
        for number in range(count):
            height, width, fx, fy, cx, cy = (float(value) for value in arrays["cameras"][number])
            pose = np.asarray(arrays["poses"][number], float)
            kept._kept.append(
                Keyframe(
                    parts[2 * number],
                    parts[2 * number + 1],
                    CameraModel(int(height), int(width), fx, fy, cx, cy),
                    RigidTransform(pose[:3, :3].copy(), pose[:3, 3].copy()),
                    int(arrays["stamps"][number]),
                    int(arrays["submaps"][number]),
                )
            )
        return kept

    def _drop_one(self) -> None:
        """Drops the keyframe that is nearest to another; of the two, the one that came first."""
        poses = [one.pose for one in self._kept]
        between = _distances(poses, poses)
        np.fill_diagonal(between, np.inf)
        del self._kept[int(np.argmin(between.min(axis=1)))]


def _distances(poses: Sequence[RigidTransform], others: Sequence[RigidTransform]) -> Float64Array:
    """Metres (m, n) from views to others, turns counted as metres."""
    rotations, places = _stacked(poses)
    other_rotations, other_places = _stacked(others)
    straight = np.linalg.norm(places[:, None] - other_places[None], axis=-1)
    traces = rotations.reshape(-1, 9) @ other_rotations.reshape(-1, 9).T
    turns = np.arccos(np.clip((traces - 1.0) / 2.0, -1.0, 1.0))
    return np.asarray(np.hypot(straight, turns * _METRES_A_RADIAN))


def _stacked(poses: Sequence[RigidTransform]) -> tuple[Float64Array, Float64Array]:
    return np.stack([one.rotation for one in poses]), np.stack([one.translation for one in poses])


def points_of(view: PinholeView) -> FloatArray:
    """Points (H, W, 3) float32 in the map of a view; NaN where there is no depth."""
    camera, z = view.camera, view.depth.astype(np.float32) / np.float32(DEPTH_SCALE)
    z[view.depth == 0] = np.nan
    x = (np.arange(camera.width, dtype=np.float32) - camera.cx) / camera.fx
    y = (np.arange(camera.height, dtype=np.float32) - camera.cy) / camera.fy
    points = np.stack([z * x, z * y[:, None], z], axis=-1)
    return np.asarray(points @ view.pose.rotation.T + view.pose.translation, np.float32)


def _blanked(one: Keyframe, low: Float64Array, high: Float64Array) -> Keyframe:
    view = one.view()
    points = points_of(view)
    inside = ((points >= low) & (points <= high)).all(axis=-1)
    if not inside.any():
        return one
    view.depth[inside] = 0
    if view.colors is not None:
        view.colors[inside] = 0
    return Keyframe.of_view(view, one.submap)


def _decoded(data: bytes, flags: int) -> NDArray[Any]:
    image: NDArray[Any] | None = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    if image is None:
        raise PerceptionError("an image of a keyframe cannot be decoded; the map is damaged")
    return image
