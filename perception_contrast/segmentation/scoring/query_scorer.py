"""Scores the feature grids of an image against all queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from perception_contrast.core.arrays import FloatArray, Size
from perception_contrast.core.embedding_spaces import require_same_space
from perception_contrast.core.feature_grid import FeatureGrid
from perception_contrast.core.vocabulary import Exemplar
from perception_contrast.segmentation.prepared_queries import PreparedQueries
from perception_contrast.segmentation.scoring.base import ABSENT_LOGIT, QueryVectors, Scorer
from perception_contrast.segmentation.scoring.class_negatives import reject
from perception_contrast.segmentation.scoring.exemplar_scorer import ExemplarScorer
from perception_contrast.segmentation.upsampling.bilinear import upsample_bilinear


@dataclass(frozen=True)
class LogitMapping:
    """logit * slope + offset: the logits of exemplars on the scale of those of texts.

    A query with both has one map, in which one seed and one outline hold.
    """

    slope: float = 1.0
    offset: float = 0.0


class QueryScorer:
    """Logits of texts by one scorer, of exemplars by the same or by one of their own."""

    def __init__(
        self,
        text_scorer: Scorer | None,
        exemplar_scorer: ExemplarScorer | None = None,
        *,
        text_space: str,
        exemplar_space: str,
        beside_texts: LogitMapping | None = None,
    ) -> None:
        """Makes a scorer of the grids of two spaces, which may be the same one.

        Args:
            text_scorer: of texts; None without a language model.
            exemplar_scorer: of exemplars; None where ``text_scorer`` scores both.
            text_space: space of the grid that texts are compared with.
            exemplar_space: space of the grid that exemplars are compared with.
            beside_texts: of the exemplars' logits, for queries with texts too; None leaves them as they are.
        """
        self.text_scorer = text_scorer
        self.text_space, self.exemplar_space = text_space, exemplar_space
        self._exemplar_scorer = exemplar_scorer
        self._beside_texts = beside_texts or LogitMapping()
        self._shared = text_scorer is not None and exemplar_scorer is None

    def uses_text_grid(self, prepared: PreparedQueries, index: int) -> bool:
        """Whether query number ``index`` is compared in the space of texts."""
        return prepared.has_texts(index) or self._shared

    def query_vectors(self, prepared: PreparedQueries, index: int) -> QueryVectors:
        """The vectors that regions of query number ``index`` are compared with, all of one space."""
        has_texts = prepared.has_texts(index)
        texts = prepared.texts[index] if has_texts else np.zeros((0, 0), np.float32)
        with_exemplars = self._shared or not has_texts
        exemplars = prepared.exemplars_of(index, self.exemplar_space) if with_exemplars else texts[:0]
        return QueryVectors(texts, exemplars, prepared.negatives_of(index), self._rejected(prepared, index))

    def _rejected(self, prepared: PreparedQueries, index: int) -> FloatArray:
        """(l, c) vectors of negative exemplars that ``text_scorer`` scores."""
        if not self._shared:
            return np.zeros((0, 0), np.float32)
        return prepared.negative_exemplars_of(index, self.exemplar_space)

    def logits(
        self, text_grid: FeatureGrid | None, exemplar_grid: FeatureGrid | None, prepared: PreparedQueries
    ) -> FloatArray:
        """Logits of all queries.

        Args:
            text_grid: features that texts are compared with, or None.
            exemplar_grid: features that exemplars are compared with, or None.
            prepared: q queries.

        Returns:
            (q, h, w) float32 on the cells of ``text_grid``, or of ``exemplar_grid`` without texts.

        Raises:
            SpaceError: a grid or an exemplar is of another space.
            ValueError: neither grid was given.
        """
        by_text = text_grid if self.text_scorer is not None else None
        base = by_text if by_text is not None else exemplar_grid
        if base is None:
            raise ValueError("neither a grid for texts nor one for exemplars was given")
        size = base.shape[:2]
        logits = np.full((len(prepared.vocabulary.queries), *size), ABSENT_LOGIT, np.float32)
        if by_text is not None:
            logits = self._text_logits(by_text, prepared)
            if self._shared:
                return logits
        if exemplar_grid is None or self._exemplar_scorer is None:
            return logits
        queries = prepared.vocabulary.queries
        if not any(query.exemplars or query.negative_exemplars for query in queries):
            # What is below this counts for no more where another query has an exemplar.
            return np.maximum(logits, ABSENT_LOGIT, out=logits)
        # Exemplars of a query show one kind of thing; its negatives may be of many kinds.
        shown, rejected = (
            self._exemplar_logits(exemplar_grid, prepared, groups, size)
            for groups in (
                [[query.exemplars] if query.exemplars else [] for query in queries],
                [[(one,) for one in query.negative_exemplars] for query in queries],
            )
        )
        return reject(np.maximum(logits, shown), rejected)

    def _exemplar_logits(
        self,
        grid: FeatureGrid,
        prepared: PreparedQueries,
        groups: Sequence[Sequence[tuple[Exemplar, ...]]],
        size: Size,
    ) -> FloatArray:
        """(q, *size) highest logit over groups of exemplars of each query, on the scale of its texts, if any.

        groups: of each query; the exemplars of a group are scored together.
        """
        assert self._exemplar_scorer is not None
        require_same_space(grid.space, self.exemplar_space, "grid and exemplars")
        cells = _cells(grid)
        highest = np.full((len(groups), *size), ABSENT_LOGIT, np.float32)
        for index, (best, given) in enumerate(zip(highest, groups, strict=True)):
            label = prepared.vocabulary.queries[index].label
            for group in given:
                for exemplar in group:
                    require_same_space(exemplar.space, self.exemplar_space, f"an exemplar of '{label}'")
                logits = self._exemplar_scorer.logits_together(cells, group).reshape(grid.shape[:2])
                best[:] = np.maximum(best, upsample_bilinear(logits, size))
            if given and prepared.has_texts(index) and self.text_scorer is not None:
                best[:] = best * self._beside_texts.slope + self._beside_texts.offset
        return highest

    def _text_logits(self, grid: FeatureGrid, prepared: PreparedQueries) -> FloatArray:
        assert self.text_scorer is not None
        require_same_space(grid.space, self.text_space, "grid and queries")
        vectors = [
            QueryVectors(
                texts,
                prepared.exemplars_of(index, self.exemplar_space) if self._shared else texts[:0],
                prepared.negatives_of(index),
                self._rejected(prepared, index),
            )
            for index, texts in enumerate(prepared.texts)
        ]
        rows, columns, _ = grid.shape
        size = (rows, columns)
        logits = self.text_scorer.logits(_cells(grid), vectors, prepared.distractors, size)
        return logits.reshape(-1, *size)


def _cells(grid: FeatureGrid) -> FloatArray:
    """(h * w, c) float32 unit rows."""
    rows, columns, _ = grid.shape
    return grid.unit().values.astype(np.float32, copy=False).reshape(rows * columns, -1)
