"""How the image moved since the last one: sparse optical flow and a similarity by RANSAC."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

LONGEST_SIDE = 200  # of the grey image that is looked at
CORNERS, CORNER_QUALITY, CORNER_DISTANCE = 100, 0.01, 6.0
LEAST_POINTS, LEAST_SHARE = 8, 0.3  # that must move as one
FURTHEST = 1.0  # from where the similarity puts a point, in pixels of the small image
SCALES = (0.5, 2.0)


class CameraMotion:
    """Compares each image with the one before.

    Corners: Shi and Tomasi, CVPR 1994. Flow: Lucas and Kanade, IJCAI 1981. RANSAC: Fischler and Bolles, 1981.
    """

    def __init__(self) -> None:
        self._previous: NDArray[np.uint8] | None = None

    def look(self, image: NDArray[np.uint8]) -> None:
        """Keeps an image (H, W, 3) as the one before the next."""
        self._previous = _small_grey(image)

    def step(self, image: NDArray[np.uint8]) -> NDArray[np.float64]:
        """(2, 3) float64: pixels of the image before to pixels of this one, (H, W, 3) uint8.

        The identity for the first image, after a change of size, and where too little is to be seen.
        """
        before, self._previous = self._previous, _small_grey(image)
        if before is None or before.shape != self._previous.shape:
            return np.eye(2, 3)
        small = _similarity(before, self._previous)
        return np.eye(2, 3) if small is None else _enlarged(small, _divisor(image))


def _divisor(image: NDArray[np.uint8]) -> int:
    """How many pixels of the image a pixel of the small one is wide and high."""
    height, width = image.shape[:2]
    return int(max(1, min(-(-max(height, width) // LONGEST_SIDE), height, width)))


def _small_grey(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    # Whole divisors are averaged several times as fast as others.
    by = _divisor(image)
    rows, columns = (side // by for side in image.shape[:2])
    # The green channel is grey enough, and the only one that is read.
    grey = cv2.extractChannel(np.ascontiguousarray(image[: rows * by, : columns * by]), 1)
    return np.asarray(cv2.resize(grey, (columns, rows), interpolation=cv2.INTER_AREA))


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


def _enlarged(small: NDArray[np.float64], by: int) -> NDArray[np.float64]:
    """The same map between images that are ``by`` times as large, pixel centres at integers."""
    larger = np.array([[by, 0.0, (by - 1) / 2], [0.0, by, (by - 1) / 2], [0.0, 0.0, 1.0]])
    whole = np.vstack([small, [0.0, 0.0, 1.0]])
    return np.asarray((larger @ whole @ np.linalg.inv(larger))[:2])
