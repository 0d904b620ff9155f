"""Fits thresholds and probabilities of a trained head on scenes kept apart from training."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.frame import Frame
from perception_contrast.core.vocabulary import Exemplar, Query, Vocabulary
from perception_contrast.images.resize import resize_labels
from perception_contrast.pipeline.image_features import ImageFeatures
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.segmentation.calibration import Calibration
from perception_contrast.segmentation.prepared_queries import PreparedQueries
from perception_contrast.segmentation.regions.region import Region
from perception_contrast_sim.objects.catalogue import catalogue
from perception_contrast_sim.rooms.scenes import SceneSampler, SceneSettings
from perception_contrast_training.calibration.asked_images import (
    AskedImage,
    overlaps,
    photograph_count,
    photographs,
    rooms,
)
from perception_contrast_training.calibration.fitting import platt
from perception_contrast_training.calibration.judged_regions import (
    LEVELS,
    JudgedRegions,
    Search,
    best_level,
    errors_by_group,
    judged,
    precision_and_recall,
    searches,
    threshold_for_precision,
)
from perception_contrast_training.config.alignment_recipe import CalibrationSettings
from perception_contrast_training.config.rescoring_recipe import RescoringCalibrationSettings
from perception_contrast_training.evaluation.metrics.reliability import expected_calibration_error
from perception_contrast_training.household.alignment.household_figures import box_of
from perception_contrast_training.household.labelled import Labelled
from perception_contrast_training.household.questions import LEAST_SHARE, mask_of
from perception_contrast_training.household.training_sets import TrainingSets
from perception_contrast_training.household.words import Concept, Words

Right = Callable[[Region, NDArray[np.bool_]], bool]


@dataclass(frozen=True)
class _Case:
    """One query in one image; truth None: absent; strict: then it bears on the threshold."""

    frame: Frame
    truth: NDArray[np.bool_] | None
    seen: ImageFeatures
    prepared: PreparedQueries
    strict: bool = True


def word_cases(pipeline: Pipeline, image: Labelled) -> Iterator[_Case]:
    """Every question of one image, each asked for alone."""
    frame = Frame(image.rgb)
    seen = pipeline.extract_features(frame)
    for question in image.questions:
        prepared = pipeline.prepare(Vocabulary().with_queries([Query(question.text)]))
        # A wrong colour is a matter of degree; a name that is not there is simply wrong.
        yield _Case(frame, question.truth, seen, prepared, strict=question.kind == "absent name")


def _example_cases(pipeline: Pipeline, settings: CalibrationSettings, offline: bool) -> Iterator[_Case]:
    """Examples of training categories, searched in other scenes that have or lack the category.

    In shapes of training: fitted to others, examples were doubted too little in images of a real kitchen.
    """
    from rich.progress import track

    sampler, count = SceneSampler(settings.seed + 1, SceneSettings(offline=offline)), settings.example_scenes
    words, rng = Words(), np.random.default_rng(settings.seed)
    names = [c.name for c in catalogue() if not c.held_out]
    shown: dict[str, Exemplar] = {}
    images = zip(range(count), sampler, strict=False)
    for _, image in track(images, "calibrating examples", total=count):
        frame = Frame(image.rgb)
        seen = pipeline.extract_features(frame)
        truths = {name: mask_of(image, words, Concept(name)) for name in names}
        big = [n for n, t in truths.items() if t is not None and t.mean() >= LEAST_SHARE]
        none = [n for n, t in truths.items() if t is not None and not t.any() and n in shown]
        asked = [n for n in big if n in shown]
        asked += [none[int(i)] for i in rng.permutation(len(none))[: len(asked) + 2]]
        for name in asked:
            prepared = pipeline.prepare(Vocabulary().with_queries([Query(name, exemplars=(shown[name],))]))
            truth = truths[name]
            yield _Case(frame, truth if truth is not None and truth.any() else None, seen, prepared)
        for name in big:
            if any(thing.category == name for thing in image.objects.values()):
                shown[name] = pipeline.query_encoder.encode_exemplar(seen, box=box_of(image, name))


def _best_level(pipeline: Pipeline, cases: list[_Case]) -> float:
    """The logit at which masks of present things overlap best with the truth."""
    totals = np.zeros(len(LEVELS))
    for case in cases:
        if case.truth is None:
            continue
        logits = pipeline.frame_search.searcher.refined_logits(
            case.frame.image, case.seen.semantic, case.seen.features, case.prepared
        )
        truth = resize_labels(case.truth, (logits.shape[0], logits.shape[1]))
        inside = np.histogram(logits[truth], bins=[*LEVELS, np.inf])[0][::-1].cumsum()[::-1]
        outside = np.histogram(logits[~truth], bins=[*LEVELS, np.inf])[0][::-1].cumsum()[::-1]
        totals += inside / np.maximum(outside + np.count_nonzero(truth), 1)
    return float(LEVELS[int(totals.argmax())])


def mostly_inside(region: Region, truth: NDArray[np.bool_]) -> bool:
    """Whether at least half of a region lies on the truth (H, W)."""
    x0, y0, x1, y1 = region.box
    return bool(truth[y0:y1, x0:x1][region.mask].mean() >= 0.5)


@dataclass
class Regions:
    """Of n regions: what a calibration looks at, whether it is what was asked for, the case."""

    features: list[tuple[float, ...]]
    correct: list[bool]
    case: list[int]


def regions_of(
    pipeline: Pipeline, cases: list[_Case], seed: float, low: float, right: Right = overlaps
) -> Regions:
    """What would be reported in each case, were there no threshold on probability."""
    gathered, levels = Regions([], [], []), Calibration(seed=seed, low=low)
    for number, case in enumerate(cases):
        found, context = pipeline.frame_search.searcher.candidates(
            case.frame.image, case.seen.semantic, case.seen.features, case.prepared, levels
        )
        truth = None if case.truth is None else resize_labels(case.truth, context.map_size)
        for candidate in found:
            gathered.features.append(candidate.features)
            gathered.correct.append(truth is not None and right(candidate.region, truth))
            gathered.case.append(number)
    return gathered


def _fitted(
    pipeline: Pipeline, cases: list[_Case], least_right: float, right: Right = overlaps
) -> tuple[Calibration, dict[str, float]]:
    level = _best_level(pipeline, cases)
    low = seed = level
    regions = regions_of(pipeline, cases, seed, low, right)
    if not regions.correct:  # nothing stands out: a head that was hardly trained
        return Calibration(seed=seed, low=low, mask=low), {"level": level, "regions": 0.0}
    features, correct = np.asarray(regions.features), np.asarray(regions.correct)
    weights, offset = platt(features, correct)
    fitted = Calibration(weights, offset, seed, low, low, 0.5)
    probability = fitted.probability(features)
    all_alike = JudgedRegions(features, correct, np.full(len(correct), "examples"))
    threshold = threshold_for_precision(probability, all_alike, least_right)
    facts = {
        "level": level,
        "regions": float(len(correct)),
        "correct": float(correct.mean()),
        "ece": expected_calibration_error(probability, correct),
        "detection": threshold,
    }
    return replace(fitted, detection=threshold), facts


def threshold_of(
    absent: NDArray[np.bool_], case: Sequence[int], probability: NDArray[np.float64], most_fired: float
) -> float:
    """Lowest threshold in [0.02, 0.9] at which at most ``most_fired`` of absent things are reported.

    absent: (cases,). case, probability: of each region. 0.5 where nothing absent was asked for.
    """
    best = np.zeros(len(absent))
    np.maximum.at(best, np.asarray(case, int), probability)
    if not absent.any():
        return 0.5
    return float(np.clip(np.quantile(best[absent], 1 - most_fired) + 1e-3, 0.02, 0.9))


def calibrate(
    pipeline: Pipeline, settings: CalibrationSettings, sets: TrainingSets | None = None, offline: bool = False
) -> tuple[Calibration, Calibration, dict[str, Any]]:
    """Calibrations for words and for examples, and what was seen while fitting them.

    Args:
        pipeline: With the head.
        settings: Of the recipe.
        sets: Photographs, whose calibration part is used beside rendered rooms; None: rooms alone.
        offline: Whether a network may not be touched.
    """
    asked = searches(pipeline, asked_images(settings, sets, offline))
    words, about_words = fit_words(asked, pipeline, settings)
    cases = list(_example_cases(pipeline, settings, offline))
    examples, about_examples = _fitted(pipeline, cases, settings.least_right_examples, mostly_inside)
    return words, examples, {"words": about_words, "examples": about_examples}


def asked_images(
    settings: CalibrationSettings | RescoringCalibrationSettings,
    sets: TrainingSets | None,
    offline: bool,
    views: int = 6,
) -> Iterator[AskedImage]:
    """Rooms, then photographs, with a progress bar. views: scenes of each room."""
    from rich.progress import track

    total = settings.scenes + (0 if sets is None else photograph_count(sets, settings.photographs))
    rendered = rooms(
        settings.seed, settings.scenes, settings.absent, offline=offline, views=views, unseen=settings.unseen
    )
    real = () if sets is None else photographs(sets, settings.seed, settings.photographs)
    yield from track(itertools.chain(rendered, real), "calibrating words", total=total)


def fit_words(
    asked: Sequence[Search], pipeline: Pipeline, settings: CalibrationSettings
) -> tuple[Calibration, dict[str, Any]]:
    """Level, probability and threshold for queries with texts, and what was seen."""
    level = best_level(pipeline, asked)
    regions = judged(pipeline, asked, Calibration(seed=level, low=level))
    if not regions.correct.any() or regions.correct.all():  # a head that was hardly trained
        return Calibration(seed=level, low=level, mask=level), {"level": level, "regions": 0.0}
    weights, offset = platt(regions.features, regions.correct, sample_weights=regions.weights)
    fitted = Calibration(weights, offset, level, level, level, 0.5)
    probability = fitted.probability(regions.features)
    threshold = threshold_for_precision(probability, regions, settings.least_right)
    facts = {
        "level": level,
        "detection": threshold,
        "ece": errors_by_group(probability, regions),
        "groups": precision_and_recall(probability, regions, threshold),
    }
    return replace(fitted, detection=threshold), facts
