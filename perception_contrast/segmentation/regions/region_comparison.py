"""Compares region vectors with the vectors of their queries and with other known names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import FloatArray
from perception_contrast.segmentation.prepared_queries import PreparedQueries
from perception_contrast.segmentation.scoring.base import Scorer
from perception_contrast.segmentation.scoring.query_scorer import QueryScorer


@dataclass(frozen=True)
class RegionComparison:
    """Figures of n regions.

    Attributes:
        cosines: (n,) highest cosine with the vectors of the region's query.
        logits: of the region's vector for its query; None where the query has exemplars alone, and where
            the scorer needs a whole frame.
        name_margins: (n,) margin of the best other known name over the query, in logits.
    """

    cosines: list[float]
    logits: list[float | None]
    name_margins: list[float]


@dataclass(frozen=True)
class _BestMatches:
    """Of n regions the best match among the vectors of their queries.

    Attributes:
        cosines: (n,) float32.
        targets: (m, c) vectors of all the queries.
        rows: (n,) row of ``targets`` that each region matches best.
    """

    cosines: FloatArray
    targets: FloatArray
    rows: NDArray[np.intp]


class RegionComparer:
    """Compares regions of one image with queries.

    A region that is more like another known name than like its query is less probably what the query
    asks for; ``RegionComparison.name_margins`` says by how much.
    """

    def __init__(self, query_scorer: QueryScorer, known_names: FloatArray) -> None:
        """known_names: (k, c) float32 embeddings of names that the model was trained with, or no rows."""
        self._query_scorer, self._known_names = query_scorer, known_names

    def compare(
        self,
        vectors: FloatArray,
        queries: Sequence[int],
        prepared: PreparedQueries,
        *,
        scorer: Scorer | None,
        scale: float,
    ) -> RegionComparison:
        """Compares each region with its query.

        Args:
            vectors: (n, c) float32 unit rows, all of one space.
            queries: number of each region's query.
            prepared: the queries.
            scorer: turns cosines into logits; None: there are no texts.
            scale: logits per unit of cosine, for the name margins.
        """
        best = self._best_matches(vectors, queries, prepared)
        margins = scale * self._name_margins(vectors, best)
        logits = self._logits(vectors, queries, prepared, scorer)
        return RegionComparison(best.cosines.tolist(), logits, margins.tolist())

    def _best_matches(
        self, vectors: FloatArray, queries: Sequence[int], prepared: PreparedQueries
    ) -> _BestMatches:
        distinct = sorted(set(queries))
        known = [self._targets(prepared, index) for index in distinct]
        targets = np.concatenate(known)
        owners = np.repeat(distinct, [len(rows) for rows in known])
        # One product for all, of which each region keeps the columns of its own query.
        table = vectors @ targets.T
        table[np.asarray(queries)[:, None] != owners] = -np.inf
        return _BestMatches(table.max(axis=1), targets, table.argmax(axis=1))

    def _targets(self, prepared: PreparedQueries, index: int) -> FloatArray:
        """(n, c) all vectors that a region of a query is compared with."""
        query = self._query_scorer.query_vectors(prepared, index)
        return np.concatenate([rows for rows in (query.texts, query.exemplars) if len(rows)])

    def _logits(
        self, vectors: FloatArray, queries: Sequence[int], prepared: PreparedQueries, scorer: Scorer | None
    ) -> list[float | None]:
        logits: list[float | None] = [None] * len(queries)
        if scorer is None or scorer.needs_frame:
            return logits
        chosen = sorted(k for k in set(queries) if self._query_scorer.uses_text_grid(prepared, k))
        if chosen:
            given = [self._query_scorer.query_vectors(prepared, k) for k in chosen]
            table = scorer.logits(vectors, given, prepared.distractors)
            row = {index: number for number, index in enumerate(chosen)}
            logits = [float(table[row[k], n]) if k in row else None for n, k in enumerate(queries)]
        return logits

    def _name_margins(self, vectors: FloatArray, best: _BestMatches) -> FloatArray:
        """(n,) highest margin in cosine of a known name, weighted by how much it differs from the query."""
        names = self._known_names
        if not len(names) or vectors.shape[1] != names.shape[1]:
            return np.zeros(len(vectors), np.float32)
        used, row = np.unique(best.rows, return_inverse=True)
        difference = 1.0 - best.targets[used] @ names.T
        margins = vectors @ names.T - best.cosines[:, None]
        margins *= difference[row]
        return np.asarray(margins.max(axis=1), np.float32)
