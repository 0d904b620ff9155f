"""Searches one image for queries: feature grids in, masks and detections out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import FloatArray
from perception_contrast.core.detection import Detection, Scores
from perception_contrast.core.feature_grid import FeatureGrid
from perception_contrast.core.vocabulary import UNLABELLED, Vocabulary
from perception_contrast.segmentation.calibration import Calibration
from perception_contrast.segmentation.instances.candidate_splitting import split_candidates
from perception_contrast.segmentation.instances.split_cues import SplitCues
from perception_contrast.segmentation.instances.splitter import Splitter
from perception_contrast.segmentation.masks.mask_renderer import MaskRenderer
from perception_contrast.segmentation.prepared_queries import PreparedQueries
from perception_contrast.segmentation.regions.candidate import Candidate
from perception_contrast.segmentation.regions.region import QueryRegion
from perception_contrast.segmentation.regions.region_growing import grow_query_regions, upsample_seeded
from perception_contrast.segmentation.regions.region_scoring import RegionScorer
from perception_contrast.segmentation.regions.relevancy import Relevancy
from perception_contrast.segmentation.rescoring.rescoring_limits import RescoringLimits
from perception_contrast.segmentation.scoring.query_scorer import QueryScorer
from perception_contrast.segmentation.search_context import SearchContext
from perception_contrast.segmentation.search_result import SearchResult
from perception_contrast.segmentation.search_settings import SearchSettings
from perception_contrast.segmentation.thresholds import (
    above_detection_threshold,
    mask_logit,
    published_from,
)
from perception_contrast.segmentation.upsampling.logit_map import LogitMap
from perception_contrast.segmentation.upsampling.logit_upsampler import LogitUpsampler

if TYPE_CHECKING:
    # Names of types alone: a file is searched without torch.
    from perception_contrast.engines.graph_sequence import Stage
    from perception_contrast.segmentation.rescoring.rescorer import Rescorer

LONGEST_SIDE = 640  # of the map that masks are drawn in
RESCORING_STAGE = "zoom"  # its name in timings


class ScoredCandidates(NamedTuple):
    """Candidates of one image, and what they were found in."""

    candidates: list[Candidate]
    context: SearchContext


@dataclass(frozen=True)
class _Grown:
    """Regions of all queries, and what they were grown from."""

    context: SearchContext
    upsampler: LogitUpsampler
    maps: Mapping[int, LogitMap]
    regions: Sequence[QueryRegion]


class Searcher:
    """Runs the steps of a search in turn, each of them a file of this room.

    Cells are scored against queries (``scoring``), upsampled (``upsampling``), grown to regions, which are
    scored (``regions``) and scored again from crops (``rescoring``); those above their threshold
    (``thresholds``) are split into instances (``instances``) and rendered (``masks``).

    Attributes:
        text_scorer: scores texts; None without a language model.
        rescorer: of probable regions, or None.
        place_level: probability from which regions of queries with texts are published in this place
            (``place_level.py``); None: the calibration's.
    """

    def __init__(
        self,
        query_scorer: QueryScorer,
        region_scorer: RegionScorer,
        relevancy: Relevancy,
        rescorer: Rescorer | None = None,
    ) -> None:
        self.rescorer = rescorer
        self.place_level: float | None = None
        self._query_scorer, self._region_scorer, self._relevancy = query_scorer, region_scorer, relevancy
        self.text_scorer = query_scorer.text_scorer

    @property
    def text_space(self) -> str:
        """Space of the grid that texts are compared with."""
        return self._query_scorer.text_space

    @property
    def exemplar_space(self) -> str:
        """Space of the grid that exemplars are compared with."""
        return self._query_scorer.exemplar_space

    @property
    def calibration(self) -> Calibration:
        """Of queries with texts."""
        return self._region_scorer.calibration

    @property
    def exemplar_calibration(self) -> Calibration:
        """Of queries with exemplars alone."""
        return self._region_scorer.exemplar_calibration

    def detection_threshold(self, settings: SearchSettings, vocabulary: Vocabulary) -> float:
        """Probability from which regions of queries without a threshold of their own are published.

        Where the calibrations of the queries differ, it is that of queries with texts. Regions that are
        left out of rescoring, for want of views or as improbable, keep the threshold before rescoring.

        Args:
            settings: of the search.
            vocabulary: that is searched for.
        """
        if settings.detection_threshold is not None:
            return settings.detection_threshold
        queries = vocabulary.queries
        if queries and not any(query.texts() for query in queries):
            return self.exemplar_calibration.detection
        if self.place_level is not None:
            return self.place_level
        in_words = any(not query.exemplars for query in queries) or not queries
        return self.threshold_of_texts(settings) if in_words else self.calibration.detection

    def threshold_of_texts(self, settings: SearchSettings) -> float:
        """The model's own threshold for queries in words alone, whatever the place's level is."""
        if self.rescorer is not None and settings.rescoring_views > 0:
            return self.rescorer.calibration.detection
        return self.calibration.detection

    def find(
        self,
        image: NDArray[np.uint8],
        text_grid: FeatureGrid | None,
        exemplar_grid: FeatureGrid | None,
        prepared: PreparedQueries,
        settings: SearchSettings,
        split_cues: SplitCues | None = None,
        stage: Stage | None = None,
        stream: str = "",
    ) -> SearchResult:
        """Masks and detections of all queries.

        Args:
            image: (H, W, 3) uint8 RGB, whose edges the masks follow.
            text_grid: features of the image in ``text_space``, or None.
            exemplar_grid: features of the image in ``exemplar_space``, or None; may be ``text_grid``.
            prepared: the queries.
            settings: thresholds and limits.
            split_cues: what regions are split into instances by; None: connected instances stay one region.
            stage: context manager that times rescoring.
            stream: the camera, by whose earlier frames rescoring is shortened; "" for an image by itself.

        Raises:
            SpaceError: a grid or an exemplar is of another space.
        """
        if not prepared.vocabulary.queries:
            return SearchResult(np.full(image.shape[:2], UNLABELLED, np.uint16), ())
        grown = self._grow(image, text_grid, exemplar_grid, prepared, settings)
        context = grown.context
        candidates, counts = self._region_scorer.score(grown.regions, context), None
        if self.rescorer is not None and settings.rescoring_views > 0:
            limits = RescoringLimits(settings.rescoring_views, settings.rescoring_ms)
            threshold = partial(
                published_from, context=context, settings=settings, place_level=self.place_level
            )
            with stage(RESCORING_STAGE) if stage is not None else nullcontext():
                candidates, counts = self.rescorer.rescore(candidates, context, limits, threshold, stream)
        candidates = above_detection_threshold(candidates, context, settings, self.place_level)
        if split_cues is not None:
            splitter = Splitter(grown.upsampler, image, split_cues)
            candidates = split_candidates(candidates, grown.maps, splitter, self._region_scorer, context)
        candidates.sort(key=lambda candidate: candidate.probability, reverse=True)
        return replace(self._render(candidates, grown, settings), rescoring=counts)

    def cell_logits(
        self, text_grid: FeatureGrid | None, exemplar_grid: FeatureGrid | None, prepared: PreparedQueries
    ) -> FloatArray:
        """(q, h, w) float32 logits of all queries on the cells of the grid."""
        return self._query_scorer.logits(text_grid, exemplar_grid, prepared)

    def refined_logits(
        self,
        image: NDArray[np.uint8],
        text_grid: FeatureGrid | None,
        exemplar_grid: FeatureGrid | None,
        prepared: PreparedQueries,
    ) -> FloatArray:
        """(h, w) float32 logits of the first query over the whole image, at most LONGEST_SIDE a side."""
        logits = self.cell_logits(text_grid, exemplar_grid, prepared)[0]
        upsampler = LogitUpsampler(image, (logits.shape[0], logits.shape[1]), longest=LONGEST_SIDE)
        rows, columns = upsampler.coarse_size
        return upsampler.upsample(logits).fine((0, 0, columns, rows))

    def candidates(
        self,
        image: NDArray[np.uint8],
        text_grid: FeatureGrid | None,
        exemplar_grid: FeatureGrid | None,
        prepared: PreparedQueries,
        calibration: Calibration | None = None,
    ) -> ScoredCandidates:
        """All regions with their scores, before rescoring and without a threshold on probability.

        Args:
            image: as of ``find``.
            text_grid: as of ``find``.
            exemplar_grid: as of ``find``.
            prepared: as of ``find``.
            calibration: another one than those in force, for its seed and low.
        """
        grown = self._grow(image, text_grid, exemplar_grid, prepared, SearchSettings(), calibration)
        return ScoredCandidates(self._region_scorer.score(grown.regions, grown.context), grown.context)

    def rescoring_features(self, scored: ScoredCandidates, max_views: int) -> dict[int, tuple[float, ...]]:
        """As ``Rescorer.features``; empty without a rescorer."""
        return {} if self.rescorer is None else self.rescorer.features(*scored, max_views)

    def _grow(
        self,
        image: NDArray[np.uint8],
        text_grid: FeatureGrid | None,
        exemplar_grid: FeatureGrid | None,
        prepared: PreparedQueries,
        settings: SearchSettings,
        calibration: Calibration | None = None,
    ) -> _Grown:
        """Scores, upsamples and grows. calibration: for all queries, instead of those in force."""
        logits = self._query_scorer.logits(text_grid, exemplar_grid, prepared)
        grid_size = (logits.shape[1], logits.shape[2])
        upsampler = LogitUpsampler(image, grid_size, refine=settings.refine, longest=LONGEST_SIDE)
        calibrations = self._region_scorer.calibrations(prepared)
        if calibration is not None:
            calibrations = [calibration] * len(calibrations)
        maps = upsample_seeded(logits, upsampler, calibrations, settings)
        regions = grow_query_regions(maps, upsampler.coarse_size, calibrations, settings)
        context = SearchContext(image, text_grid, exemplar_grid, prepared, upsampler.coarse_size)
        return _Grown(context, upsampler, maps, regions)

    def _render(
        self, candidates: Sequence[Candidate], grown: _Grown, settings: SearchSettings
    ) -> SearchResult:
        """Masks of all candidates, and the first of them as detections."""
        prepared = grown.context.prepared
        renderer = MaskRenderer(grown.upsampler, [QueryRegion(c.query, c.region) for c in candidates])
        detections: list[Detection] = []
        for index, candidate in enumerate(candidates):
            calibration = self._region_scorer.calibration_of(prepared, candidate.query)
            label = prepared.vocabulary.queries[candidate.query].label
            drawn = renderer.draw(
                index,
                grown.maps[candidate.query],
                calibration.low,
                mask_logit(settings, calibration),
                prepared.vocabulary.ids[label],
            )
            if len(detections) < settings.max_detections and drawn is not None:
                scores = Scores(candidate.cosine, self._relevancy(candidate), candidate.probability)
                detections.append(Detection(label, scores, *drawn, candidate.vector, candidate.space))
        return SearchResult(renderer.label_image(), tuple(detections))
