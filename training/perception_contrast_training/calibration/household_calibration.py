"""Fits thresholds and probabilities of a trained head on scenes kept apart from training."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.frame import Frame
from perception_contrast.core.vocabulary import Query, Vocabulary
from perception_contrast.images.resize import resize_labels
from perception_contrast.pipeline.image_features import ImageFeatures
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.segmentation.calibration import Calibration
from perception_contrast.segmentation.prepared_queries import PreparedQueries
from perception_contrast_training.calibration.asked_images import (
    AskedImage,
    overlaps,
    photograph_count,
    photographs,
    rooms,
)
from perception_contrast_training.calibration.fitting import platt
from perception_contrast_training.calibration.judged_regions import (
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
from perception_contrast_training.household.labelled import Labelled
from perception_contrast_training.household.training_sets import TrainingSets


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


@dataclass
class Regions:
    """Of n regions: what a calibration looks at, whether it is what was asked for, the case."""

    features: list[tuple[float, ...]]
    correct: list[bool]
    case: list[int]


def regions_of(pipeline: Pipeline, cases: list[_Case], seed: float, low: float) -> Regions:
    """What would be reported in each case, were there no threshold on probability."""
    gathered, levels = Regions([], [], []), Calibration(seed=seed, low=low)
    for number, case in enumerate(cases):
        found, context = pipeline.frame_search.searcher.candidates(
            case.frame.image, case.seen.semantic, case.seen.features, case.prepared, levels
        )
        truth = None if case.truth is None else resize_labels(case.truth, context.map_size)
        for candidate in found:
            gathered.features.append(candidate.features)
            gathered.correct.append(truth is not None and overlaps(candidate.region, truth))
            gathered.case.append(number)
    return gathered


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
) -> tuple[Calibration, dict[str, Any]]:
    """The calibration of words, and what was seen while fitting it.

    Args:
        pipeline: With the head.
        settings: Of the recipe.
        sets: Photographs, whose calibration part is used beside rendered rooms; None: rooms alone.
        offline: Whether a network may not be touched.
    """
    asked = searches(pipeline, asked_images(settings, sets, offline))
    words, seen = fit_words(asked, pipeline, settings)
    return words, {"words": seen}


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
