"""One confusion matrix over a whole set, and what follows from it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.integer]


class ConfusionMatrix:
    """Counts of (truth, prediction) pairs of ``classes`` classes, added up over all images.

    counts: (classes, classes + 1) int64, rows are truths; the last column counts what was given no class.
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.counts = np.zeros((classes, classes + 1), np.int64)

    def add(self, truth: Ints, predicted: Ints) -> None:
        """Two integer arrays of one shape. Truths outside [0, classes) are ignored; predictions outside
        it count as none. Raises ValueError for shapes that differ."""
        if truth.shape != predicted.shape:
            raise ValueError(f"truth {truth.shape} and prediction {predicted.shape} differ in shape")
        known = (truth >= 0) & (truth < self.classes)
        rows = truth[known].astype(np.int64)
        columns = predicted[known].astype(np.int64)
        columns[(columns < 0) | (columns >= self.classes)] = self.classes
        flat = np.bincount(rows * (self.classes + 1) + columns, minlength=self.counts.size)
        self.counts += flat.reshape(self.counts.shape)

    def merge(self, other: ConfusionMatrix) -> None:
        """Adds the pairs of another of the same classes."""
        self.counts += other.counts

    @property
    def total(self) -> int:
        """How many pairs were counted."""
        return int(self.counts.sum())

    def accuracy(self) -> float:
        """Share of pairs that agree; nan without any."""
        return float(np.trace(self.counts) / self.total) if self.total else float("nan")

    def recall(self) -> NDArray[np.float64]:
        """(classes,) share of each class that was found; nan for one without truths."""
        return _ratio(np.diag(self.counts), self.counts.sum(axis=1))

    def iou(self) -> NDArray[np.float64]:
        """(classes,) intersection over union; nan for a class in neither truths nor predictions."""
        hits = np.diag(self.counts)
        union = self.counts.sum(axis=1) + self.counts[:, :-1].sum(axis=0) - hits
        return _ratio(hits, union)

    def mean_iou(self) -> float:
        """Mean over the classes that occur, in truths or predictions; nan without any."""
        values = self.iou()
        return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def _ratio(part: Ints, whole: Ints) -> NDArray[np.float64]:
    values: NDArray[np.float64] = np.full(part.shape, np.nan)
    np.divide(part, whole, out=values, where=whole > 0)
    return values
