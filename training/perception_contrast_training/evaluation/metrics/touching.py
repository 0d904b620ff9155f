"""Things of one class that touch: reported as one (merged), or one of them reported as several (split).

Under- and over-segmentation as in Hoover et al., "An Experimental Comparison of Range Image Segmentation
Algorithms", PAMI 1996, with a tolerance of one half.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
HALF = 0.5


@dataclass
class TouchCounts:
    """Truths that touch another of their class; how many of those were merged, and how many split."""

    touching: int = 0
    merged: int = 0
    split: int = 0

    def add(self, truths: Sequence[Mask], found: Sequence[Mask]) -> None:
        """All truths and all reported masks (H, W) of one class in one image."""
        close = _touching(truths)
        shared = np.array([[np.count_nonzero(t & f) for f in found] for t in truths], float)
        shared = shared.reshape(len(truths), len(found))
        areas = np.array([np.count_nonzero(t) for t in truths], float)
        sizes = np.array([np.count_nonzero(f) for f in found], float)
        merged = _merged(shared, areas, sizes)
        split = _merged(shared.T, sizes, areas, whole=True)
        self.touching += int(close.sum())
        self.merged += int((close & merged).sum())
        self.split += int((close & split).sum())

    def merge(self, other: TouchCounts) -> None:
        """Adds the counts of other images."""
        self.touching += other.touching
        self.merged += other.merged
        self.split += other.split


def _touching(masks: Sequence[Mask], reach: int = 1) -> NDArray[np.bool_]:
    """(n,) whether a mask, grown by ``reach`` pixels, meets another."""
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    grown = [cv2.dilate(mask.astype(np.uint8), kernel) > 0 for mask in masks]
    meets = [
        any(bool((grown[i] & other).any()) for j, other in enumerate(masks) if j != i)
        for i in range(len(masks))
    ]
    return np.array(meets, bool)


def _merged(
    shared: NDArray[np.float64],
    areas: NDArray[np.float64],
    covers: NDArray[np.float64],
    whole: bool = False,
) -> NDArray[np.bool_]:
    """Which of the rows lie, each by half of its area, in a column that holds several of them.

    The column must be theirs: together they are at least half of it. shared: (rows, columns) pixels in
    common. whole: answer for the columns instead: which of them hold several rows.
    """
    inside = shared >= HALF * areas[:, None]
    together = (shared * inside).sum(axis=0) >= HALF * covers
    several = (inside.sum(axis=0) >= 2) & together
    return np.asarray(several if whole else (inside & several).any(axis=1))
