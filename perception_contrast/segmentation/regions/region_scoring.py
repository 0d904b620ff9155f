"""Scores regions: cosine with the query, calibration features, calibrated probability."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.feature_grid import FeatureGrid
from perception_contrast.segmentation.calibration import Calibration, region_features
from perception_contrast.segmentation.prepared_queries import PreparedQueries
from perception_contrast.segmentation.regions.candidate import Candidate
from perception_contrast.segmentation.regions.region import QueryRegion
from perception_contrast.segmentation.regions.region_comparison import RegionComparer
from perception_contrast.segmentation.regions.region_pooling import pool_regions
from perception_contrast.segmentation.scoring.query_scorer import QueryScorer
from perception_contrast.segmentation.search_context import SearchContext


class _GridRegions(NamedTuple):
    """A grid, and the indices of the regions whose vectors are pooled from it."""

    grid: FeatureGrid
    indices: list[int]


class RegionScorer:
    """Regions to candidates.

    Attributes:
        calibration: of queries with texts.
        exemplar_calibration: of queries with exemplars alone.
    """

    def __init__(
        self,
        query_scorer: QueryScorer,
        comparer: RegionComparer,
        calibration: Calibration,
        exemplar_calibration: Calibration,
        scale: float,
    ) -> None:
        """scale: logits per unit of cosine, for the margins of other names."""
        self._query_scorer, self._comparer, self._scale = query_scorer, comparer, scale
        self.calibration, self.exemplar_calibration = calibration, exemplar_calibration

    def calibration_of(self, prepared: PreparedQueries, index: int) -> Calibration:
        """The calibration that holds for query number ``index``."""
        return self.calibration if prepared.has_texts(index) else self.exemplar_calibration

    def calibrations(self, prepared: PreparedQueries) -> list[Calibration]:
        """The calibration of each query."""
        return [self.calibration_of(prepared, k) for k in range(len(prepared.vocabulary.queries))]

    def score(self, regions: Sequence[QueryRegion], context: SearchContext) -> list[Candidate]:
        """The candidate of each region, in the order given."""
        scored: dict[int, Candidate] = {}
        for grid, indices in self._by_grid(regions, context):
            candidates = self._score_in(grid, [regions[k] for k in indices], context)
            scored.update(zip(indices, candidates, strict=True))
        return [scored[k] for k in sorted(scored)]

    def _by_grid(self, regions: Sequence[QueryRegion], context: SearchContext) -> Iterator[_GridRegions]:
        in_text_grid = {
            index: context.text_grid is not None
            and self._query_scorer.uses_text_grid(context.prepared, index)
            for index in {one.query for one in regions}
        }
        for grid, wanted in ((context.text_grid, True), (context.exemplar_grid, False)):
            indices = [k for k, one in enumerate(regions) if in_text_grid[one.query] is wanted]
            if indices:
                assert grid is not None
                yield _GridRegions(grid, indices)

    def _score_in(
        self, grid: FeatureGrid, regions: Sequence[QueryRegion], context: SearchContext
    ) -> list[Candidate]:
        prepared, queries = context.prepared, [one.query for one in regions]
        features_grid = np.asarray(grid.unit().values, np.float32)
        vectors = pool_regions([one.region for one in regions], context.map_size, features_grid)
        compared = self._comparer.compare(
            vectors, queries, prepared, scorer=self._query_scorer.text_scorer, scale=self._scale
        )
        names = len(prepared.vocabulary.queries)
        features = [
            region_features(one.region, one.region.mean if logit is None else logit, margin, names)
            for one, logit, margin in zip(regions, compared.logits, compared.name_margins, strict=True)
        ]
        probabilities = self._probabilities(np.array(features), queries, prepared)
        return [
            Candidate(
                one.query,
                one.region,
                vector,
                grid.space,
                cosine,
                own_features,
                probability,
                self.calibration_of(prepared, one.query).detection,
            )
            for one, vector, cosine, own_features, probability in zip(
                regions, vectors, compared.cosines, features, probabilities.tolist(), strict=True
            )
        ]

    def _probabilities(
        self, features: NDArray[np.float64], queries: Sequence[int], prepared: PreparedQueries
    ) -> NDArray[np.float64]:
        """(n,) calibrated probabilities of features (n, len(FEATURES))."""
        has_texts = np.array([prepared.has_texts(index) for index in queries])
        probabilities = np.empty(len(queries))
        for calibration, own in ((self.calibration, has_texts), (self.exemplar_calibration, ~has_texts)):
            if own.any():
                probabilities[own] = calibration.probability(features[own])
        return probabilities
