"""Feature grids and a vocabulary to masks and detections of one image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import FloatArray
from perception_contrast.core.detection import Detection, Scores
from perception_contrast.core.feature_grid import FeatureGrid
from perception_contrast.core.spaces import require_same_space
from perception_contrast.core.vocabulary import UNLABELLED, Query, Vocabulary
from perception_contrast.engines.graph_sequence import Stage
from perception_contrast.segmentation.calibration import Calibration, features_of
from perception_contrast.segmentation.instances.splitter import SplitCues, Splitter
from perception_contrast.segmentation.mask_renderer import MaskRenderer
from perception_contrast.segmentation.regions import Region, grow_regions, part_of, region_vectors
from perception_contrast.segmentation.rescoring.rescorer import LEAST, Rescorer, region_crop_of
from perception_contrast.segmentation.scoring import ExampleScorer, QueryVectors, Scorer
from perception_contrast.segmentation.upsampling import LogitMap, LogitUpsampler, upsampled

LONGEST_SIDE = 640  # of the map in which regions are cut out
SMOOTHING = 1.0  # how far below a level a cell may lie and still be lifted over it along an edge


@dataclass(frozen=True)
class PreparedQueries:
    """A vocabulary and its vectors.

    words[i], negatives[i]: (n, c) of query i; rivals: (r, c) of the distractors. No negatives at all
    stand for none of any query.
    """

    vocabulary: Vocabulary
    words: tuple[FloatArray, ...] = ()
    distractors: FloatArray = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    negatives: tuple[FloatArray, ...] = ()

    def negatives_of(self, index: int) -> FloatArray:
        """(n, c), what query ``index`` is not."""
        return self.negatives[index] if self.negatives else self.distractors[:0]


@dataclass(frozen=True)
class SearchSettings:
    """Thresholds on probability; None: the calibration's. least_share: of the image, smaller is dropped.
    zoom: views of regions that are seen again, enlarged, at most."""

    mask_threshold: float | None = None
    detection_threshold: float | None = None
    max_detections: int = 100
    least_share: float = 2e-4
    refine: bool = True
    zoom: int = 0


@dataclass(frozen=True)
class SearchResult:
    """masks: (H, W) uint16 of the source's size, UNLABELLED where nothing is. detections: best first."""

    masks: NDArray[np.uint16]
    detections: tuple[Detection, ...]


@dataclass(frozen=True)
class _Base:
    """What regions of one image are looked up in: unit grids, the queries, (height, width) of the map."""

    words: FeatureGrid | None
    examples: FeatureGrid | None
    prepared: PreparedQueries
    size: tuple[int, int]


@dataclass(frozen=True)
class Candidate:
    """A region of coarse pixels that may be what query number ``query`` asks for.

    vector: of the region in ``space``. features: what a calibration looks at. probability: what it says.
    least: from which it is published, where nobody asks for another.
    """

    query: int
    region: Region
    vector: FloatArray
    space: str
    cosine: float
    features: tuple[float, ...]
    probability: float
    least: float


def logit_of(probability: float) -> float:
    """log(p / (1 - p)) of a threshold in (0, 1)."""
    p = min(max(probability, 1e-6), 1 - 1e-6)
    return float(np.log(p / (1 - p)))


class Searcher:
    """Scores grids against queries by one scorer and one calibration.

    word_space, example_space: of the grids that words and examples are compared with; both may be
    the same grid. example_scorer: for examples apart from the words; None where ``scorer`` takes both.
    neutral: (k, c) word vectors for relevancy, no rows where there are no words. bank: (k, c) word
    vectors of known names; a region that is more like another name than like the query is doubted.
    """

    def __init__(
        self,
        scorer: Scorer | None,
        calibration: Calibration,
        *,
        word_space: str,
        example_space: str,
        neutral: FloatArray,
        neutral_scale: float = 10.0,
        bank: FloatArray | None = None,
        example_scorer: ExampleScorer | None = None,
        example_calibration: Calibration | None = None,
        rescorer: Rescorer | None = None,
    ) -> None:
        self.rescorer = rescorer
        self._scorer, self.calibration = scorer, calibration
        self.word_space, self.example_space = word_space, example_space
        self._neutral, self._neutral_scale = neutral, neutral_scale
        self._bank = neutral[:0] if bank is None else bank
        self._example_scorer = example_scorer
        self._together = scorer is not None and example_scorer is None
        self._example_calibration = example_calibration or calibration

    def logit_grids(
        self, words: FeatureGrid | None, examples: FeatureGrid | None, prepared: PreparedQueries
    ) -> FloatArray:
        """(q, h, w) logits on the grid of words, or of examples where there are no words."""
        queries = prepared.vocabulary.queries
        base = words if words is not None and self._scorer is not None else examples
        if base is None:
            raise ValueError("neither a grid for words nor one for examples was given")
        rows, columns, _ = base.shape
        grids = np.full((len(queries), rows, columns), -20.0, np.float32)
        if words is not None and self._scorer is not None:
            require_same_space(words.space, self.word_space, "grid and queries")
            vectors = [
                QueryVectors(
                    texts,
                    _stacked(query, self.example_space) if self._together else texts[:0],
                    prepared.negatives_of(index),
                )
                for index, (texts, query) in enumerate(zip(prepared.words, queries, strict=True))
            ]
            cells = words.unit().values.astype(np.float32, copy=False).reshape(rows * columns, -1)
            grids = self._scorer.logits(cells, vectors, prepared.distractors).reshape(-1, rows, columns)
            if self._together:
                return grids
        if examples is not None and self._example_scorer is not None:
            shown = self._example_logits(examples, queries, (rows, columns))
            grids = np.maximum(grids, shown)
        return grids

    def _example_logits(
        self, grid: FeatureGrid, queries: tuple[Query, ...], size: tuple[int, int]
    ) -> FloatArray:
        assert self._example_scorer is not None
        require_same_space(grid.space, self.example_space, "grid and exemplars")
        rows, columns, _ = grid.shape
        cells = grid.unit().values.astype(np.float32, copy=False).reshape(rows * columns, -1)
        planes = np.full((len(queries), *size), -20.0, np.float32)
        for plane, query in zip(planes, queries, strict=True):
            for exemplar in query.exemplars:
                require_same_space(exemplar.space, self.example_space, f"an exemplar of '{query.label}'")
                logits = self._example_scorer.logits(cells, exemplar)
                plane[:] = np.maximum(plane, upsampled(logits.reshape(rows, columns), size))
        return planes

    def find(
        self,
        image: NDArray[np.uint8],
        words: FeatureGrid | None,
        examples: FeatureGrid | None,
        prepared: PreparedQueries,
        settings: SearchSettings,
        split_cues: SplitCues | None = None,
        stage: Stage | None = None,
    ) -> SearchResult:
        """Masks and detections. image: (H, W, 3) uint8 RGB, whose edges the masks follow.

        clues: what tells one thing of a kind from the next; without any, connected things are one. stage:
        told of a second look, for as long as it takes.
        """
        size = (int(image.shape[0]), int(image.shape[1]))
        if not prepared.vocabulary.queries:
            return SearchResult(np.full(size, UNLABELLED, np.uint16), ())
        words, examples = (grid and grid.unit() for grid in (words, examples))
        grids = self.logit_grids(words, examples, prepared)
        ground = LogitUpsampler(
            image, (grids.shape[1], grids.shape[2]), refine=settings.refine, longest=LONGEST_SIDE
        )
        cut = None if settings.mask_threshold is None else logit_of(settings.mask_threshold)
        planes = self._planes(grids, ground, prepared, cut=cut)
        base = _Base(words, examples, prepared, ground.coarse)
        accepted = self._looked_up(image, self._grown(planes, base, settings), base, settings, stage)
        if split_cues is not None:
            accepted = self._split(accepted, planes, Splitter(ground, image, split_cues), base)
        accepted.sort(key=lambda candidate: candidate.probability, reverse=True)
        renderer = MaskRenderer(ground, [(c.query, c.region) for c in accepted])
        detections: list[Detection] = []
        for place, candidate in enumerate(accepted):
            plane, calibration = planes[candidate.query], self._calibration(prepared, candidate.query)
            query = prepared.vocabulary.queries[candidate.query]
            level = calibration.mask if cut is None else cut
            drawn = renderer.draw(place, plane, calibration.low, level, prepared.vocabulary.ids[query.label])
            if len(detections) < settings.max_detections and drawn is not None:
                detections.append(self._detection(candidate, query.label, *drawn))
        return SearchResult(renderer.labels(), tuple(detections))

    def plane(
        self,
        image: NDArray[np.uint8],
        words: FeatureGrid | None,
        examples: FeatureGrid | None,
        prepared: PreparedQueries,
    ) -> FloatArray:
        """Refined logits of the first query over the whole image, at most LONGEST_SIDE a side."""
        grid = self.logit_grids(words, examples, prepared)[0]
        ground = LogitUpsampler(image, (grid.shape[0], grid.shape[1]), longest=LONGEST_SIDE)
        return ground.plane(grid).window((0, 0, ground.coarse[1], ground.coarse[0]))

    def candidates(
        self,
        image: NDArray[np.uint8],
        words: FeatureGrid | None,
        examples: FeatureGrid | None,
        prepared: PreparedQueries,
        calibration: Calibration | None = None,
        settings: SearchSettings | None = None,
    ) -> tuple[list[Candidate], tuple[int, int]]:
        """Every region that could be something asked for, and the (height, width) of the map they lie in.

        calibration: another one than those in force, for its seed and its low.
        """
        words, examples = (grid and grid.unit() for grid in (words, examples))
        grids = self.logit_grids(words, examples, prepared)
        ground = LogitUpsampler(image, (grids.shape[1], grids.shape[2]), longest=LONGEST_SIDE)
        planes = self._planes(grids, ground, prepared, calibration)
        base = _Base(words, examples, prepared, ground.coarse)
        grown = self._grown(planes, base, settings or SearchSettings(), calibration)
        return self._scored(grown, base), ground.coarse

    def _calibration(self, prepared: PreparedQueries, index: int) -> Calibration:
        return self.calibration if prepared_words(prepared, index) else self._example_calibration

    def _planes(
        self,
        grids: FloatArray,
        ground: LogitUpsampler,
        prepared: PreparedQueries,
        calibration: Calibration | None = None,
        cut: float | None = None,
    ) -> dict[int, LogitMap]:
        """Query number to its map, of those that reach their seed anywhere. cut: of the masks' pixels."""
        planes: dict[int, LogitMap] = {}
        for index, grid in enumerate(grids):
            fit = calibration or self._calibration(prepared, index)
            if float(grid.max()) >= fit.seed:
                low = min(fit.low, fit.mask if cut is None else cut)
                planes[index] = ground.plane(grid, low - SMOOTHING)
        return planes

    def _grown(
        self,
        planes: Mapping[int, LogitMap],
        base: _Base,
        settings: SearchSettings,
        calibration: Calibration | None = None,
    ) -> list[tuple[int, Region]]:
        """Regions of each query with its number."""
        grown: list[tuple[int, Region]] = []
        for index, plane in planes.items():
            fit = calibration or self._calibration(base.prepared, index)
            regions = grow_regions(
                plane.coarse,
                fit.seed,
                fit.low,
                settings.least_share,
                settings.max_detections,
                corner=plane.box[:2],
                pixels=base.size[0] * base.size[1],
            )
            grown += [(index, region) for region in regions]
        return grown

    def _least(self, prepared: PreparedQueries, index: int, settings: SearchSettings) -> float | None:
        """Probability from which a query's regions are published; None: what the calibrations say."""
        own = prepared.vocabulary.queries[index].threshold
        return own if own is not None else settings.detection_threshold

    def _looked_up(
        self,
        image: NDArray[np.uint8],
        grown: Sequence[tuple[int, Region]],
        base: _Base,
        settings: SearchSettings,
        stage: Stage | None,
    ) -> list[Candidate]:
        """The regions that are to be published, after a second look where there is one."""
        prepared, asked = base.prepared, {index for index, _ in grown}
        wished = {index: self._least(prepared, index, settings) for index in asked}
        again = self.rescorer is not None and settings.zoom > 0
        first = {
            index: self._calibration(prepared, index).detection if least is None else least
            for index, least in wished.items()
        }
        if not again:
            return self._scored(grown, base, first)
        # Whatever may yet turn out to be probable enough.
        candidates = self._scored(grown, base, {index: min(least, LEAST) for index, least in first.items()})
        with stage("zoom") if stage is not None else nullcontext():
            candidates = self.rescored(image, candidates, prepared, base.size, settings.zoom)
        return [c for c in candidates if c.probability >= _chosen(wished[c.query], c.least)]

    def rescored(
        self,
        image: NDArray[np.uint8],
        candidates: Sequence[Candidate],
        prepared: PreparedQueries,
        size: tuple[int, int],
        most: int,
    ) -> list[Candidate]:
        """The same candidates in the same order, those that deserve it with a probability that rests on a
        second look. size: (height, width) of the map that their regions lie in. most: views at most.
        """
        found = list(candidates)
        for k, features in self.rescoring_features(image, candidates, prepared, size, most).items():
            assert self.rescorer is not None
            chance = self.rescorer.probability(features)
            least = self.rescorer.calibration.detection
            found[k] = replace(found[k], probability=chance, least=least)
        return found

    def rescoring_features(
        self,
        image: NDArray[np.uint8],
        candidates: Sequence[Candidate],
        prepared: PreparedQueries,
        size: tuple[int, int],
        most: int,
    ) -> dict[int, tuple[float, ...]]:
        """Places of the candidates that are looked at again, with what the second look weighs of each."""
        look = self.rescorer
        if look is None or self._scorer is None:
            return {}
        places = [k for k, one in enumerate(candidates) if self._by_words(prepared, one.query)]
        places = look.worth_it([candidates[k].probability for k in places], places)
        crops = [region_crop_of(candidates[k].region, size, image.shape) for k in places]
        kept = look.affordable(crops, most)
        if not kept:
            return {}
        places, asked = places[:kept], [candidates[k].query for k in places[:kept]]
        vectors = look.vectors(image, crops[:kept])
        cosine, targets, nearest = self._nearest(vectors, asked, prepared)
        used, which = np.unique(nearest, return_inverse=True)
        leads = look.scale * self._leads_of_others(vectors, targets[used], which, cosine)
        logits = self._region_logits(vectors, asked, prepared, look.scorer)
        return {
            k: look.features(candidates[k].probability, float(logit or 0.0), lead, candidates[k].region.share)
            for k, logit, lead in zip(places, logits, leads.tolist(), strict=True)
        }

    def _by_words(self, prepared: PreparedQueries, index: int) -> bool:
        """Whether words alone say what a query asks for."""
        return prepared_words(prepared, index) and not prepared.vocabulary.queries[index].exemplars

    def _split(
        self, accepted: list[Candidate], planes: Mapping[int, LogitMap], splitter: Splitter, base: _Base
    ) -> list[Candidate]:
        """Regions of several things as those things; each has the surer of its own and the whole's score."""
        whole: list[Candidate] = []
        parts: list[tuple[int, Region]] = []
        least: list[float] = []
        for candidate in accepted:
            masks = splitter(candidate.region)
            if len(masks) < 2:
                whole.append(candidate)
                continue
            plane = planes[candidate.query]
            values = plane.coarse[plane.within(candidate.region.box)]
            parts += [(candidate.query, part_of(candidate.region, mask, values)) for mask in masks]
            least += [candidate.probability] * len(masks)
        return whole + [
            replace(part, probability=max(part.probability, floor))
            for part, floor in zip(self._scored(parts, base), least, strict=True)
        ]

    def _scored(
        self, grown: Sequence[tuple[int, Region]], base: _Base, least: Mapping[int, float] | None = None
    ) -> list[Candidate]:
        """Regions with their own vectors and what the calibrations make of them, in the order given.

        least: of each query the probability below which regions are left out; None: none is.
        """
        scored: dict[int, Candidate] = {}
        for grid, places in self._by_grid(grown, base):
            regions, asked = [grown[k][1] for k in places], [grown[k][0] for k in places]
            vectors = region_vectors(regions, base.size, np.asarray(grid.values, np.float32))
            known = self._region_features(vectors, asked, regions, base.prepared)
            chances = self._chances(np.array([features for _, features in known]), asked, base.prepared)
            for k, index, region, vector, (cosine, features), chance in zip(
                places, asked, regions, vectors, known, chances.tolist(), strict=True
            ):
                if least is None or chance >= least[index]:
                    enough = self._calibration(base.prepared, index).detection
                    scored[k] = Candidate(index, region, vector, grid.space, cosine, features, chance, enough)
        return [scored[k] for k in sorted(scored)]

    def _chances(
        self, features: NDArray[np.float64], asked: Sequence[int], prepared: PreparedQueries
    ) -> NDArray[np.float64]:
        """(n,) probabilities of regions with these features (n, len(FEATURES)), by their queries' numbers."""
        by_words = {index: prepared_words(prepared, index) for index in set(asked)}
        worded = np.array([by_words[index] for index in asked])
        chances = np.empty(len(asked))
        for calibration, own in ((self.calibration, worded), (self._example_calibration, ~worded)):
            if own.any():
                chances[own] = calibration.probability(features[own])
        return chances

    def _by_grid(
        self, grown: Sequence[tuple[int, Region]], base: _Base
    ) -> Iterator[tuple[FeatureGrid, list[int]]]:
        """Each grid with the numbers of the regions that are looked up in it."""
        in_words = {
            index: base.words is not None and (prepared_words(base.prepared, index) or self._together)
            for index in {index for index, _ in grown}
        }
        for grid, wanted in ((base.words, True), (base.examples, False)):
            places = [k for k, (index, _) in enumerate(grown) if in_words[index] is wanted]
            if places:
                assert grid is not None
                yield grid, places

    def _region_features(
        self,
        vectors: FloatArray,
        asked: Sequence[int],
        regions: Sequence[Region],
        prepared: PreparedQueries,
    ) -> list[tuple[float, tuple[float, ...]]]:
        """Of each region its cosine with its query and what a calibration looks at."""
        cosine, targets, nearest = self._nearest(vectors, asked, prepared)
        used, which = np.unique(nearest, return_inverse=True)
        leads = self._neutral_scale * self._leads_of_others(vectors, targets[used], which, cosine)
        logits = self._region_logits(vectors, asked, prepared, self._scorer)
        return [
            (c, features_of(region, region.mean if logit is None else logit, lead))
            for c, region, logit, lead in zip(cosine.tolist(), regions, logits, leads.tolist(), strict=True)
        ]

    def _nearest(
        self, vectors: FloatArray, asked: Sequence[int], prepared: PreparedQueries
    ) -> tuple[FloatArray, FloatArray, NDArray[np.intp]]:
        """What of all that its query asks for is most like each region (n, c).

        Its cosine (n,), all that is asked for (m, c), and of each region which of that it is (n,).
        """
        numbers, queries = np.array(asked), sorted(set(asked))
        known = [self._targets(prepared, index) for index in queries]
        cosine, nearest = np.empty(len(asked), np.float32), np.empty(len(asked), np.intp)
        start = 0
        for index, targets in zip(queries, known, strict=True):
            own = np.flatnonzero(numbers == index)
            cosines = vectors[own] @ targets.T
            cosine[own], nearest[own] = cosines.max(axis=1), start + cosines.argmax(axis=1)
            start += len(targets)
        return cosine, np.concatenate(known), nearest

    def _targets(self, prepared: PreparedQueries, index: int) -> FloatArray:
        """(n, c): all vectors that a region of a query is compared with."""
        query = self._query_vectors(prepared, index)
        return np.concatenate([rows for rows in (query.words, query.examples) if len(rows)])

    def _query_vectors(self, prepared: PreparedQueries, index: int) -> QueryVectors:
        query = prepared.vocabulary.queries[index]
        worded = prepared_words(prepared, index)
        texts = prepared.words[index] if worded else np.zeros((0, 0), np.float32)
        shown = self._together or not worded
        examples = _stacked(query, self.example_space) if shown else texts[:0]
        return QueryVectors(texts, examples, prepared.negatives_of(index))

    def _region_logits(
        self, vectors: FloatArray, asked: Sequence[int], prepared: PreparedQueries, scorer: Scorer | None
    ) -> list[float | None]:
        """Of each region the logit of its own vector, None where examples alone are asked for."""
        logits: list[float | None] = [None] * len(asked)
        if scorer is None:
            return logits
        chosen = sorted(k for k in set(asked) if prepared_words(prepared, k) or self._together)
        if chosen:
            queries = [self._query_vectors(prepared, k) for k in chosen]
            table = scorer.logits(vectors, queries, prepared.distractors)
            row = {index: number for number, index in enumerate(chosen)}
            logits = [float(table[row[k], n]) if k in row else None for n, k in enumerate(asked)]
        return logits

    def _leads_of_others(
        self, vectors: FloatArray, targets: FloatArray, nearest: NDArray[np.intp], cosine: FloatArray
    ) -> FloatArray:
        """By what cosine regions are more like another name, as far as that differs from the query.

        nearest: (n,) row of ``targets`` that each region is most like of its query's; cosine: (n,), how much.
        """
        if not len(self._bank) or vectors.shape[1] != self._bank.shape[1]:
            return np.zeros(len(vectors), np.float32)
        others = 1.0 - targets @ self._bank.T
        lead = vectors @ self._bank.T - cosine[:, None]
        lead *= others[nearest]
        return np.asarray(lead.max(axis=1), np.float32)

    def _detection(
        self, candidate: Candidate, label: str, box: tuple[int, int, int, int], mask: NDArray[np.bool_]
    ) -> Detection:
        scores = Scores(candidate.cosine, self._relevancy(candidate), candidate.probability)
        return Detection(label, scores, box, mask, candidate.vector, candidate.space)

    def _relevancy(self, candidate: Candidate) -> float:
        """Softmax of the query against each neutral word, the least of them (Kerr et al., LERF, 2023)."""
        if not len(self._neutral) or candidate.space != self.word_space:
            return candidate.probability
        rival = float((self._neutral @ candidate.vector).max())
        return float(1.0 / (1.0 + np.exp(-self._neutral_scale * (candidate.cosine - rival))))


def prepared_words(prepared: PreparedQueries, index: int) -> bool:
    """Whether a query has words; its calibration is the words' then."""
    return bool(prepared.words) and len(prepared.words[index]) > 0


def _chosen(wished: float | None, usual: float) -> float:
    return usual if wished is None else wished


def _stacked(query: Query, space: str) -> FloatArray:
    for exemplar in query.exemplars:
        require_same_space(exemplar.space, space, f"an exemplar of '{query.label}'")
    if not query.exemplars:
        return np.zeros((0, 0), np.float32)
    return np.stack([exemplar.vector for exemplar in query.exemplars])
