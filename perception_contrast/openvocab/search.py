"""Feature grids and a vocabulary to masks and detections of one picture."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from ..encoders.grid import FeatureGrid, require_same_space
from ..frames.resize import nearest_pixels, resize_labels
from ..language.vocabulary import UNLABELLED, Query, Vocabulary
from .calibration import Calibration, features_of
from .masks import GuidedFilter, upsampled
from .regions import Region, grow_regions, region_vector
from .scores import ExampleScorer, QueryVectors, Scorer, contested
from .types import Detection, Scores

Array = NDArray[np.float32]
LONGEST_SIDE = 640  # of the map in which regions are cut out


@dataclass(frozen=True)
class PreparedQueries:
    """A vocabulary and its vectors. words[i]: (n, c) of query i; rivals: (r, c) of the distractors."""

    vocabulary: Vocabulary
    words: tuple[Array, ...] = ()
    rivals: Array = field(default_factory=lambda: np.zeros((0, 0), np.float32))


@dataclass(frozen=True)
class SearchSettings:
    """Thresholds on probability; None: the calibration's. least_share: of the picture, smaller is dropped."""

    mask_threshold: float | None = None
    detection_threshold: float | None = None
    max_detections: int = 100
    least_share: float = 2e-4
    refine: bool = True


@dataclass(frozen=True)
class Found:
    """masks: (H, W) uint16 of the source's size, UNLABELLED where nothing is. detections: best first."""

    masks: NDArray[np.uint16]
    detections: tuple[Detection, ...]


@dataclass(frozen=True)
class _Candidate:
    query: int
    region: Region
    vector: Array
    space: str
    probability: float
    cosine: float


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
        neutral: Array,
        neutral_scale: float = 10.0,
        bank: Array | None = None,
        example_scorer: ExampleScorer | None = None,
        example_calibration: Calibration | None = None,
    ) -> None:
        self._scorer, self.calibration = scorer, calibration
        self.word_space, self.example_space = word_space, example_space
        self._neutral, self._neutral_scale = neutral, neutral_scale
        self._bank = neutral[:0] if bank is None else bank
        self._example_scorer = example_scorer
        self._together = scorer is not None and example_scorer is None
        self._example_calibration = example_calibration or calibration

    def logit_grids(
        self, words: FeatureGrid | None, examples: FeatureGrid | None, prepared: PreparedQueries
    ) -> Array:
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
                QueryVectors(texts, _stacked(query, self.example_space) if self._together else texts[:0])
                for texts, query in zip(prepared.words, queries, strict=True)
            ]
            cells = words.unit().values.astype(np.float32, copy=False).reshape(rows * columns, -1)
            grids = self._scorer.logits(cells, vectors, prepared.rivals).reshape(-1, rows, columns)
            if self._together:
                return grids
        if examples is not None and self._example_scorer is not None:
            shown = self._example_logits(examples, queries, (rows, columns))
            grids = np.maximum(grids, shown)
        return grids

    def _example_logits(self, grid: FeatureGrid, queries: tuple[Query, ...], size: tuple[int, int]) -> Array:
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
    ) -> Found:
        """Masks and detections. image: (H, W, 3) uint8 RGB, whose edges the masks follow."""
        size = (int(image.shape[0]), int(image.shape[1]))
        if not prepared.vocabulary.queries:
            return Found(np.full(size, UNLABELLED, np.uint16), ())
        grids = contested(self.logit_grids(words, examples, prepared))
        words, examples = (grid and grid.unit() for grid in (words, examples))
        work = _work_size(size)
        guide = self._guide(image, work, grids.shape[1:]) if settings.refine else None
        labels = np.full(work, UNLABELLED, np.uint16)
        best = np.full(work, -np.inf, np.float32)
        kept: list[_Candidate] = []
        for index, query in enumerate(prepared.vocabulary.queries):
            worded = prepared_words(prepared, index)
            calibration = self.calibration if worded else self._example_calibration
            base = words if words is not None and (worded or self._together) else examples
            assert base is not None
            if float(grids[index].max()) < calibration.seed:
                continue
            plane = upsampled(grids[index], work) if guide is None else guide(grids[index])
            accepted = self._accepted(index, query, plane, base, prepared, calibration, settings)
            if accepted:
                member = _members(plane, accepted, calibration, settings)
                wins = member & (plane > best)
                labels[wins] = prepared.vocabulary.ids[query.label]
                best[wins] = plane[wins]
            kept += accepted
        kept.sort(key=lambda candidate: candidate.probability, reverse=True)
        detections = tuple(
            self._detection(candidate, prepared, work, size) for candidate in kept[: settings.max_detections]
        )
        return Found(resize_labels(labels, size), detections)

    def plane(
        self,
        image: NDArray[np.uint8],
        words: FeatureGrid | None,
        examples: FeatureGrid | None,
        prepared: PreparedQueries,
    ) -> Array:
        """Refined logits (H, W) of the first query, at the picture's size, at most LONGEST_SIDE a side."""
        grid = self.logit_grids(words, examples, prepared)[0]
        work = _work_size((int(image.shape[0]), int(image.shape[1])))
        return self._guide(image, work, grid.shape)(grid)

    def region_features(
        self, region: Region, size: tuple[int, ...], base: FeatureGrid | None, prepared: PreparedQueries
    ) -> tuple[float, ...]:
        """What a calibration looks at in a region, for the first query. size: of the region's map."""
        assert base is not None
        vector = region_vector(region, (size[0], size[1]), np.asarray(base.values, np.float32))
        _, logit, rival = self._region_scores(vector, 0, prepared.vocabulary.queries[0], prepared, region)
        return features_of(region, logit, rival)

    @staticmethod
    def _guide(image: NDArray[np.uint8], work: tuple[int, int], grid: tuple[int, ...]) -> GuidedFilter:
        grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
        small = cv2.resize(grey, work[::-1], interpolation=cv2.INTER_AREA).astype(np.float32) / 255.0
        return GuidedFilter(small, radius=max(2, round(0.75 * work[1] / grid[1])), every=2)

    def _accepted(
        self,
        index: int,
        query: Query,
        plane: Array,
        base: FeatureGrid,
        prepared: PreparedQueries,
        calibration: Calibration,
        settings: SearchSettings,
    ) -> list[_Candidate]:
        chosen = query.threshold if query.threshold is not None else settings.detection_threshold
        least = calibration.detection if chosen is None else chosen
        regions = grow_regions(
            plane, calibration.seed, calibration.low, settings.least_share, settings.max_detections
        )
        accepted = []
        for region in regions:
            vector = region_vector(
                region, (plane.shape[0], plane.shape[1]), np.asarray(base.values, np.float32)
            )
            cosine, logit, rival = self._region_scores(vector, index, query, prepared, region)
            features = np.array([features_of(region, logit, rival)])
            probability = float(calibration.probability(features)[0])
            if probability >= least:
                accepted.append(_Candidate(index, region, vector, base.space, probability, cosine))
        return accepted

    def _region_scores(
        self, vector: Array, index: int, query: Query, prepared: PreparedQueries, region: Region
    ) -> tuple[float, float, float]:
        """Cosine of the region's own vector with the query, its logit, the lead of the best other name."""
        worded = prepared_words(prepared, index)
        texts = prepared.words[index] if worded else np.zeros((0, len(vector)), np.float32)
        shown = _stacked(query, self.example_space) if self._together or not worded else texts[:0]
        asked = np.concatenate([v for v in (texts, shown) if len(v)])
        cosines = asked @ vector
        cosine = float(cosines.max())
        if self._scorer is None or not (worded or self._together):
            return cosine, region.mean, 0.0
        logit = self._scorer.logits(vector[None], [QueryVectors(texts, shown)], prepared.rivals)
        return cosine, float(logit[0, 0]), self._lead_of_others(vector, asked[int(cosines.argmax())], cosine)

    def _lead_of_others(self, vector: Array, asked: Array, cosine: float) -> float:
        """How much more a region is like another name; a name counts as far as it differs from the query."""
        if not len(self._bank):
            return 0.0
        lead = (self._bank @ vector - cosine) * (1.0 - self._bank @ asked)
        return float(self._neutral_scale * lead.max())

    def _detection(
        self,
        candidate: _Candidate,
        prepared: PreparedQueries,
        work: tuple[int, int],
        size: tuple[int, int],
    ) -> Detection:
        box, mask = _enlarged(candidate.region, work, size)
        relevancy = self._relevancy(candidate)
        scores = Scores(candidate.cosine, relevancy, candidate.probability)
        label = prepared.vocabulary.queries[candidate.query].label
        return Detection(label, scores, box, mask, candidate.vector, candidate.space)

    def _relevancy(self, candidate: _Candidate) -> float:
        """Softmax of the query against each neutral word, the least of them (Kerr et al., LERF, 2023)."""
        if not len(self._neutral) or candidate.space != self.word_space:
            return candidate.probability
        rival = float((self._neutral @ candidate.vector).max())
        return float(1.0 / (1.0 + np.exp(-self._neutral_scale * (candidate.cosine - rival))))


def _members(
    plane: Array, accepted: list[_Candidate], calibration: Calibration, settings: SearchSettings
) -> NDArray[np.bool_]:
    """Pixels that accepted regions label: those of at least the mask threshold.

    A lower threshold than the regions grew by asks for more of each thing, not for more things.
    """
    cut = calibration.mask if settings.mask_threshold is None else logit_of(settings.mask_threshold)
    inside = np.zeros(plane.shape, bool)
    for candidate in accepted:
        x0, y0, x1, y1 = candidate.region.box
        inside[y0:y1, x0:x1] |= candidate.region.mask
    enough = plane >= cut
    if cut >= calibration.low:
        return np.asarray(inside & enough)
    _, numbers = cv2.connectedComponents(enough.astype(np.uint8), connectivity=8)
    return np.asarray(enough & np.isin(numbers, np.unique(numbers[inside])))


def _work_size(size: tuple[int, int]) -> tuple[int, int]:
    scale = min(1.0, LONGEST_SIDE / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _enlarged(
    region: Region, work: tuple[int, int], size: tuple[int, int]
) -> tuple[tuple[int, int, int, int], NDArray[np.bool_]]:
    """Box and mask in a picture of ``size`` of a region of a map of ``work``: the pixels its labels take."""
    x0, y0, x1, y1 = region.box
    rows, columns = nearest_pixels(work[0], size[0]), nearest_pixels(work[1], size[1])
    top, bottom = np.searchsorted(rows, (y0, y1))
    left, right = np.searchsorted(columns, (x0, x1))
    mask = region.mask[np.ix_(rows[top:bottom] - y0, columns[left:right] - x0)]
    return (int(left), int(top), int(right), int(bottom)), mask


def prepared_words(prepared: PreparedQueries, index: int) -> bool:
    """Whether a query has words; its calibration is the words' then."""
    return bool(prepared.words) and len(prepared.words[index]) > 0


def _stacked(query: Query, space: str) -> Array:
    for exemplar in query.exemplars:
        require_same_space(exemplar.space, space, f"an exemplar of '{query.label}'")
    if not query.exemplars:
        return np.zeros((0, 0), np.float32)
    return np.stack([exemplar.vector for exemplar in query.exemplars])
