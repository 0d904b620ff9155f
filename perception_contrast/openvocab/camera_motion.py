"""How the picture moved since the last one: sparse optical flow and a similarity by RANSAC."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

LONGEST_SIDE = 200  # of the grey picture that is looked at
CORNERS, CORNER_QUALITY, CORNER_DISTANCE = 100, 0.01, 6.0
LEAST_POINTS, LEAST_SHARE = 8, 0.3  # that must move as one
FURTHEST = 1.0  # from where the similarity puts a point, in pixels of the small picture
SCALES = (0.5, 2.0)


class CameraMotion:
    """Compares each picture with the one before.

    Corners: Shi and Tomasi, CVPR 1994. Flow: Lucas and Kanade, IJCAI 1981. RANSAC: Fischler and Bolles, 1981.
    """

    def __init__(self) -> None:
        self._previous: NDArray[np.uint8] | None = None

    def look(self, image: NDArray[np.uint8]) -> None:
        """Keeps a picture (H, W, 3) as the one before the next."""
        self._previous = _small_grey(image)

    def step(self, image: NDArray[np.uint8]) -> NDArray[np.float64]:
        """(2, 3) float64: pixels of the picture before to pixels of this one, (H, W, 3) uint8.

        The identity for the first picture, after a change of size, and where too little is to be seen.
        """
        before, self._previous = self._previous, _small_grey(image)
        if before is None or before.shape != self._previous.shape:
            return np.eye(2, 3)
        small = _similarity(before, self._previous)
        if small is None:
            return np.eye(2, 3)
        height, width = self._previous.shape
        return _enlarged(small, image.shape[1] / width, image.shape[0] / height)


def _small_grey(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    scale = min(1.0, LONGEST_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    # The green channel is grey enough, and the only one that is read.
    return np.asarray(
        cv2.resize(cv2.extractChannel(np.ascontiguousarray(image), 1), size, interpolation=cv2.INTER_AREA)
    )


def _similarity(before: NDArray[np.uint8], now: NDArray[np.uint8]) -> NDArray[np.float64] | None:
    corners = cv2.goodFeaturesToTrack(before, CORNERS, CORNER_QUALITY, CORNER_DISTANCE)
    if corners is None or len(corners) < LEAST_POINTS:
        return None
    moved, found, _ = cv2.calcOpticalFlowPyrLK(before, now, corners, None, winSize=(15, 15), maxLevel=3)
    held = found[:, 0].astype(bool)
    if np.count_nonzero(held) < LEAST_POINTS:
        return None
    matrix, inliers = cv2.estimateAffinePartial2D(
        corners[held], moved[held], method=cv2.RANSAC, ransacReprojThreshold=FURTHEST, maxIters=200
    )
    if matrix is None or np.count_nonzero(inliers) < max(LEAST_POINTS, LEAST_SHARE * len(corners)):
        return None
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    return np.asarray(matrix, np.float64) if SCALES[0] <= scale <= SCALES[1] else None


def _enlarged(small: NDArray[np.float64], sx: float, sy: float) -> NDArray[np.float64]:
    """The same map between pictures sx and sy times as large, pixel centres at integers."""
    larger = np.array([[sx, 0.0, (sx - 1) / 2], [0.0, sy, (sy - 1) / 2], [0.0, 0.0, 1.0]])
    whole = np.vstack([small, [0.0, 0.0, 1.0]])
    return np.asarray((larger @ whole @ np.linalg.inv(larger))[:2])
