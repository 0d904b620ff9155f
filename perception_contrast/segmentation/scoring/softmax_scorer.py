"""Logits of models that were trained with a softmax: each query against background words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from perception_contrast.core.arrays import FloatArray
from perception_contrast.segmentation.scoring.base import QueryVectors
from perception_contrast.segmentation.scoring.class_negatives import same_text
from perception_contrast.segmentation.scoring.max_cosine import max_cosine_of_groups

MAX_LOGIT = 14.0  # beyond it a float32 softmax share cannot be told from 0 or 1


@dataclass(frozen=True)
class SoftmaxScorer:
    """Softmax of each query against neutral words, distractors and its negatives; a ``Scorer``.

    As CLIP was trained (Radford et al., 2021), one query at a time.

    Attributes:
        neutral: (k, c) unit vectors of background words, which always compete.
        scale: of cosines before the softmax.
    """

    neutral: FloatArray
    scale: float = 40.0

    def logits(
        self, cells: FloatArray, queries: Sequence[QueryVectors], distractors: FloatArray
    ) -> FloatArray:
        """As ``Scorer.logits``. A neutral word or distractor that is a query's own text does not compete."""
        if not queries:
            return np.empty((0, len(cells)), np.float32)
        rows = self.scale * max_cosine_of_groups(cells, [_texts_and_exemplars(q) for q in queries])
        neutral = self.scale * (self.neutral @ cells.T)
        all_neutral = log_sum_exp(neutral)
        distracting = self.scale * (distractors @ cells.T) if len(distractors) else neutral[:0]
        all_distracting = log_sum_exp(distracting)
        for row, query in zip(rows, queries, strict=True):
            own = same_text(self.neutral, query.texts)
            competing = [log_sum_exp(neutral[~own]) if own.any() else all_neutral, all_distracting]
            if (own := same_text(distractors, query.texts)).any():
                competing[-1] = log_sum_exp(distracting[~own])
            if len(query.negatives):
                competing.append(log_sum_exp(self.scale * (query.negatives @ cells.T)))
            # The logit of a softmax share is its own term less the log-sum-exp of the others.
            row -= np.logaddexp.reduce(competing)
        clipped: FloatArray = np.clip(rows, -MAX_LOGIT, MAX_LOGIT)
        return clipped


def _texts_and_exemplars(query: QueryVectors) -> FloatArray:
    given = [rows for rows in (query.texts, query.exemplars) if len(rows)]
    return np.concatenate(given) if given else query.texts


def log_sum_exp(logits: FloatArray) -> FloatArray:
    """(n,) log of the sum of exp over the rows of (r, n) in float32; minus infinity without rows."""
    if not len(logits):
        return np.full(logits.shape[1], -np.inf, np.float32)
    top = logits.max(axis=0)
    total: FloatArray = top + np.log(np.exp(logits - top).sum(axis=0))
    return total
