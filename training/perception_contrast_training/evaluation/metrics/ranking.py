"""Is the right name the first, or among the first few; do some scores lie above others?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from perception_contrast_training.evaluation.libraries import evaluation_library
from perception_contrast_training.evaluation.metrics.confusion import ConfusionMatrix


def roc_auc(above: Sequence[float], below: Sequence[float]) -> float:
    """Area under the ROC curve of scores that should lie above others; nan without one of the two."""
    if not len(above) or not len(below):
        return float("nan")
    truth = [1] * len(above) + [0] * len(below)
    return float(evaluation_library("sklearn.metrics").roc_auc_score(truth, [*above, *below]))


@dataclass
class Ranking:
    """Top-1 and top-``deep`` accuracy of scored names, and which name was taken for which."""

    classes: int
    deep: int = 5
    confusion: ConfusionMatrix = field(init=False)
    _ranks: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.confusion = ConfusionMatrix(self.classes)

    def add(self, truth: int, scores: NDArray[np.floating]) -> int:
        """scores: (classes,), higher is better. Gives how many others are not below the truth."""
        rank = int(np.count_nonzero(scores >= scores[truth])) - 1
        self._ranks.append(rank)
        self.confusion.add(np.array([truth]), np.array([int(scores.argmax())]))
        return rank

    def top(self, count: int) -> float:
        """Share of images whose true name is among the best ``count``; nan without any."""
        return float(np.mean([rank < count for rank in self._ranks])) if self._ranks else float("nan")
