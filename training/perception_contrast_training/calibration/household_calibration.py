"""Fits thresholds and probabilities of a trained head on scenes kept apart from training."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.segmentation.calibration import Calibration
from perception_contrast_training.calibration.asked_images import (
    AskedImage,
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
from perception_contrast_training.household.training_sets import TrainingSets


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
