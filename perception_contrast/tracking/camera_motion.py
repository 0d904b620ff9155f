"""Camera motion between two images: sparse optical flow, and a similarity by RANSAC.

Corners: Shi and Tomasi, CVPR 1994. Flow: Lucas and Kanade, IJCAI 1981. RANSAC: Fischler and Bolles, 1981.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

LONGEST_SIDE = 200  # of the grey image that is compared
MAX_CORNERS, CORNER_QUALITY, CORNER_DISTANCE = 100, 0.01, 6.0
MIN_INLIERS, MIN_INLIER_SHARE = 8, 0.3
MAX_REPROJECTION_ERROR = 1.0  # of an inlier, pixels of the small image
MIN_SCALE, MAX_SCALE = 0.5, 2.0


class CameraMotion:
    """Compares each image with the one before."""

    def __init__(self) -> None:
        self._previous: NDArray[np.uint8] | None = None

    def restart(self, image: NDArray[np.uint8]) -> None:
        """Keeps an image (H, W, 3) uint8 to compare the next one with."""
        self._previous = _small_grey(image)

    def step(self, image: NDArray[np.uint8]) -> NDArray[np.float64]:
        """The motion since the last image.

        Args:
            image: (H, W, 3) uint8.

        Returns:
            (2, 3) float64 similarity, pixels of the last image to pixels of this one. The identity for the
            first image, after a change of size, and where too few corners move alike.
        """
        before, self._previous = self._previous, _small_grey(image)
        if before is None or before.shape != self._previous.shape:
            return np.eye(2, 3)
        small = _similarity(before, self._previous)
        return np.eye(2, 3) if small is None else _upscaled(small, _divisor(image))


def _divisor(image: NDArray[np.uint8]) -> int:
    """Pixels of the image per pixel of the small one, along each side."""
    height, width = image.shape[:2]
    return int(max(1, min(-(-max(height, width) // LONGEST_SIDE), height, width)))


def _small_grey(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    # OpenCV averages by whole divisors several times as fast as by others.
    by = _divisor(image)
    rows, columns = (side // by for side in image.shape[:2])
    # The green channel is near enough to grey.
    grey = cv2.extractChannel(np.ascontiguousarray(image[: rows * by, : columns * by]), 1)
    return np.asarray(cv2.resize(grey, (columns, rows), interpolation=cv2.INTER_AREA))


def _similarity(before: NDArray[np.uint8], now: NDArray[np.uint8]) -> NDArray[np.float64] | None:
    corners = cv2.goodFeaturesToTrack(before, MAX_CORNERS, CORNER_QUALITY, CORNER_DISTANCE)
    if corners is None or len(corners) < MIN_INLIERS:
        return None
    moved, tracked, _ = cv2.calcOpticalFlowPyrLK(before, now, corners, None, winSize=(15, 15), maxLevel=3)
    held = tracked[:, 0].astype(bool)
    if np.count_nonzero(held) < MIN_INLIERS:
        return None
    matrix, inliers = cv2.estimateAffinePartial2D(
        corners[held],
        moved[held],
        method=cv2.RANSAC,
        ransacReprojThreshold=MAX_REPROJECTION_ERROR,
        maxIters=200,
    )
    if matrix is None or np.count_nonzero(inliers) < max(MIN_INLIERS, MIN_INLIER_SHARE * len(corners)):
        return None
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    return np.asarray(matrix, np.float64) if MIN_SCALE <= scale <= MAX_SCALE else None


def _upscaled(small: NDArray[np.float64], by: int) -> NDArray[np.float64]:
    """The same motion between images ``by`` times as large; pixel centres are at integers."""
    larger = np.array([[by, 0.0, (by - 1) / 2], [0.0, by, (by - 1) / 2], [0.0, 0.0, 1.0]])
    whole = np.vstack([small, [0.0, 0.0, 1.0]])
    return np.asarray((larger @ whole @ np.linalg.inv(larger))[:2])
