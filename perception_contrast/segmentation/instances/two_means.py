"""Splits points in two by k-means, and masks in two connected parts."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from perception_contrast.core.arrays import BoolMask, FloatArray

# Rounds of Lloyd's algorithm, and the least move of a mean that goes on.
TERMINATION = (cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, 8, 0.0)
SAMPLE = 300  # points that the means are fitted to


class Split(NamedTuple):
    """Two masks (h, w) that share the pixels of one between them."""

    first: BoolMask
    second: BoolMask


def two_means(points: FloatArray) -> BoolMask:
    """(n,) which points (n, c) are nearer to the second of two means (Lloyd's algorithm).

    The means start far apart and are fitted to SAMPLE points at most.
    """
    sample = np.ascontiguousarray(points[:: max(1, len(points) // SAMPLE)])
    total = sample.sum(axis=0)
    far = sample[int(((sample - total / len(sample)) ** 2).sum(axis=1).argmax())]
    first, second = far, sample[int(((sample - far) ** 2).sum(axis=1).argmax())]
    owned = _nearer_to_second(sample, first, second)
    if 0 < np.count_nonzero(owned) < len(sample):
        start = owned.astype(np.int32)[:, None]
        _, _, means = cv2.kmeans(sample, 2, start, TERMINATION, 1, cv2.KMEANS_USE_INITIAL_LABELS)
        first, second = means
    return _nearer_to_second(points, first, second)


def _nearer_to_second(points: FloatArray, first: FloatArray, second: FloatArray) -> BoolMask:
    middle = 0.5 * float(second @ second - first @ first)
    return np.asarray(points @ (second - first) > middle)


def connected_split(mask: BoolMask, second: BoolMask) -> Split | None:
    """Two parts of a mask, each the largest component of its side and what lies nearest to it.

    Args:
        mask: (h, w) of the whole.
        second: (h, w) which of its pixels are on the second side.

    Returns:
        The split; None where a side has no pixel.
    """
    cores: list[BoolMask] = []
    loose = mask.copy()
    for side in (mask & ~second, second):
        _, components = cv2.connectedComponents(side.view(np.uint8), connectivity=8)
        areas = np.bincount(components.ravel())[1:]
        if not len(areas):
            return None
        core = components == 1 + int(areas.argmax())
        loose &= ~core
        cores.append(core)
    if loose.any():
        nearer = _distance_to(cores[0]) <= _distance_to(cores[1])
        cores = [cores[0] | (loose & nearer), cores[1] | (loose & ~nearer)]
    return Split(cores[0], cores[1])


def _distance_to(mask: BoolMask) -> FloatArray:
    return np.asarray(cv2.distanceTransform((~mask).view(np.uint8), cv2.DIST_L2, 3), np.float32)
