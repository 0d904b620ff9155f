"""Logits of models whose scale and bias were fitted to cells: each query on its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from perception_contrast.core.arrays import FloatArray, Size
from perception_contrast.segmentation.scoring.base import ABSENT_LOGIT, QueryVectors
from perception_contrast.segmentation.scoring.class_negatives import reject, same_text, suppress
from perception_contrast.segmentation.scoring.max_cosine import max_cosine, max_cosine_of_groups


@dataclass(frozen=True)
class SigmoidScorer:
    """logit = scale * cosine + bias, as trained (Zhai et al., SigLIP, 2023); a ``Scorer``.

    Attributes:
        scale: of texts, of exemplars.
        bias: of texts, of exemplars.
    """

    scale: tuple[float, float]
    bias: tuple[float, float]
    needs_frame: ClassVar[bool] = False

    def logits(
        self,
        cells: FloatArray,
        queries: Sequence[QueryVectors],
        distractors: FloatArray,
        size: Size | None = None,
    ) -> FloatArray:
        """As ``Scorer.logits``. A distractor that is a query's own text does not compete with it."""
        texts, exemplars, negatives, rejected = (
            {index: rows for index, rows in enumerate(kind) if len(rows)}
            for kind in (
                [query.texts for query in queries],
                [query.exemplars for query in queries],
                [query.negatives for query in queries],
                [query.negative_exemplars for query in queries],
            )
        )
        kinds = (texts, exemplars, negatives, rejected)
        groups = [*(rows for kind in kinds for rows in kind.values()), distractors]
        best = max_cosine_of_groups(cells, groups)
        of_texts, of_exemplars, of_negatives, of_rejected, of_distractors = np.split(
            best, np.cumsum([len(kind) for kind in kinds])
        )
        rows = np.full((len(queries), len(cells)), ABSENT_LOGIT, np.float32)
        # All queries at once: a step for each costs more than its numbers do.
        for kind, (own, cosines) in enumerate(((texts, of_texts), (exemplars, of_exemplars))):
            rows[list(own)] = np.maximum(rows[list(own)], self.scale[kind] * cosines + self.bias[kind])
        competing = _competing_distractors(cells, queries, distractors, of_distractors[0])
        for index, cosines in zip(negatives, of_negatives, strict=True):
            competing[index] = np.maximum(cosines, competing[index]) if index in competing else cosines
        if competing:
            against = self.scale[0] * np.stack(list(competing.values())) + self.bias[0]
            rows[list(competing)] = suppress(rows[list(competing)], against)
        if rejected:
            rows[list(rejected)] = reject(rows[list(rejected)], self.scale[1] * of_rejected + self.bias[1])
        return rows


def _competing_distractors(
    cells: FloatArray, queries: Sequence[QueryVectors], distractors: FloatArray, cosines: FloatArray
) -> dict[int, FloatArray]:
    """Of each query that has a competing distractor the highest cosine with one, (n,).

    cosines: (n,) highest over all distractors.
    """
    competing: dict[int, FloatArray] = {}
    for index, query in enumerate(queries):
        own = same_text(distractors, query.texts)
        if not own.all():
            competing[index] = max_cosine(cells, distractors[~own]) if own.any() else cosines
    return competing
