"""Figures from predictions and truths: overlap and average precision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.detection import Detection

Mask = NDArray[np.bool_]


def placed(detection: Detection, size: tuple[int, int]) -> Mask:
    """A detection's mask in the whole image."""
    full = np.zeros(size, bool)
    x0, y0, x1, y1 = detection.box
    full[y0:y1, x0:x1] = detection.mask[: size[0] - y0, : size[1] - x0]
    return full


def iou(first: Mask, second: Mask) -> float:
    """Intersection over union; 1 for two empty masks."""
    union = int(np.count_nonzero(first | second))
    return int(np.count_nonzero(first & second)) / union if union else 1.0


@dataclass
class PrecisionRecall:
    """Gathers scored matches of one class; average precision with all points (PASCAL VOC from 2010 on)."""

    scores: list[float] = field(default_factory=list)
    correct: list[bool] = field(default_factory=list)
    truths: int = 0

    def add(
        self, scores: Sequence[float], overlaps: NDArray[np.float64], ignored: Sequence[bool], least: float
    ) -> None:
        """One image. overlaps: (predictions, truths). ignored truths count neither for nor against.

        Predictions are matched best score first, each to its best free truth of at least ``least``.
        """
        self.truths += sum(not i for i in ignored)
        free = np.ones(len(ignored), bool)
        for index in np.argsort(-np.asarray(scores, float), kind="stable"):
            row = np.where(free, overlaps[index], -1.0) if len(ignored) else np.zeros(0)
            best = int(row.argmax()) if len(row) else -1
            if best >= 0 and row[best] >= least:
                if ignored[best]:
                    continue
                free[best] = False
            else:
                best = -1
            self.scores.append(float(scores[index]))
            self.correct.append(best >= 0)

    def merge(self, later: PrecisionRecall) -> None:
        """Adds the images of another, behind those of this one."""
        self.scores += later.scores
        self.correct += later.correct
        self.truths += later.truths

    def average_precision(self) -> float:
        """Area under precision made monotone; nan without truths."""
        if not self.truths:
            return float("nan")
        order = np.argsort(-np.asarray(self.scores), kind="stable")
        hits = np.asarray(self.correct, float)[order]
        recall = np.cumsum(hits) / self.truths
        precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
        envelope = np.maximum.accumulate(precision[::-1])[::-1]
        return float(np.sum(np.diff(np.concatenate([[0.0], recall])) * envelope)) if len(hits) else 0.0
