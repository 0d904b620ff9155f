"""PendingKeyframes: which images of a map are kept whole, until they are written."""

from __future__ import annotations

import threading

import cv2
import numpy as np

from perception_contrast.core.arrays import FloatArray, RgbImage
from perception_contrast.core.rigid_transform import RigidTransform
from perception_contrast.mapping.map_frame import MapFrame
from perception_contrast.memory.sightings import Keyframe

KEYFRAME_METRES, KEYFRAME_RADIANS, KEYFRAME_SECONDS = 0.3, 0.35, 10.0
_THUMBNAIL, _JPEG_QUALITY = 160, 80
_MOST_PENDING = 256


class PendingKeyframes:
    """Images from which the camera had moved, or time had passed. Any thread may call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: tuple[int, RigidTransform] | None = None
        self._pending: list[Keyframe] = []

    def offer(self, frame: MapFrame, space: str) -> None:
        """Keeps a frame where it shows something new.

        Args:
            frame: With an image; one without is not kept.
            space: Identity of the space of its features.
        """
        if frame.image is None or not self._is_new(frame):
            return
        keyframe = Keyframe(
            stamp=frame.stamp,
            pose=frame.pose,
            camera=frame.camera_name,
            labels=tuple(dict.fromkeys(one.label for one in frame.detections)),
            quality=_sharpness(frame.image),
            vector=_mean_vector(frame),
            space=space,
            thumbnail=_thumbnail(frame.image),
        )
        with self._lock:
            self._last = (frame.stamp, frame.pose)
            if len(self._pending) < _MOST_PENDING:
                self._pending.append(keyframe)

    def waiting(self) -> list[Keyframe]:
        """Those that are not written yet, oldest first."""
        with self._lock:
            return list(self._pending)

    def written(self, count: int) -> None:
        """The oldest ones, so many, are written."""
        with self._lock:
            del self._pending[:count]

    def clear(self) -> None:
        """Drops those that are not written."""
        with self._lock:
            self._pending.clear()

    def _is_new(self, frame: MapFrame) -> bool:
        if self._last is None:
            return True
        stamp, pose = self._last
        metres, radians = pose.difference(frame.pose)
        later = abs(frame.stamp - stamp) >= KEYFRAME_SECONDS * 1e9
        return later or metres >= KEYFRAME_METRES or radians >= KEYFRAME_RADIANS


def _mean_vector(frame: MapFrame) -> FloatArray | None:
    """The mean of the image's cells (c,), at unit length."""
    if frame.semantic is None:
        return None
    cells = np.asarray(frame.semantic.unit().values, np.float32)
    mean = cells.reshape(-1, cells.shape[2]).mean(axis=0)
    norm = float(np.linalg.norm(mean))
    return np.asarray(mean / norm, np.float32) if norm > 0 else None


def _sharpness(image: RgbImage) -> float:
    grey = cv2.cvtColor(image[::2, ::2], cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_32F).var())


def _thumbnail(image: RgbImage) -> bytes:
    scale = _THUMBNAIL / max(image.shape[:2])
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else image
    _, encoded = cv2.imencode(
        ".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    )
    return encoded.tobytes()
