"""The highest cosine of each cell over a group of vectors."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from perception_contrast.core.arrays import FloatArray


def max_cosine(cells: FloatArray, vectors: FloatArray) -> FloatArray:
    """(n,) highest cosine of cells (n, c) over the rows of ``vectors`` (k, c); -1 without rows."""
    if not len(vectors):
        return np.full(len(cells), -1.0, np.float32)
    best: FloatArray = (cells @ vectors.T).max(axis=1)
    return best


def max_cosine_of_groups(cells: FloatArray, groups: Sequence[FloatArray]) -> FloatArray:
    """(groups, n) highest cosine over the rows of each group, by one product; -1 without rows."""
    best = np.full((len(groups), len(cells)), -1.0, np.float32)
    filled = [group for group in groups if len(group)]
    if not filled:
        return best
    # OpenBLAS multiplies many cells with few phrases faster this way around, the transpose included.
    cosines = np.asarray(cv2.transpose(cells @ np.concatenate(filled).T), np.float32)
    start = 0
    for row, group in zip(best, groups, strict=True):
        if len(group):
            # Of NumPy's ways to reduce groups of rows, the one that reads whole rows.
            np.maximum.reduce(cosines[start : start + len(group)], axis=0, out=row)
            start += len(group)
    return best
