"""Fits the probability of regions whose enlarged crops were encoded, on images kept apart from training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from perception_contrast.core.errors import PerceptionError
from perception_contrast.encoders.rescoring_head import load_rescoring_head, save_rescoring_head
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.segmentation.rescoring.rescoring_calibration import RescoringCalibration
from perception_contrast_training.calibration.fitting import platt
from perception_contrast_training.calibration.household_calibration import asked_images
from perception_contrast_training.calibration.judged_regions import (
    JudgedRegions,
    Search,
    errors_by_group,
    judged,
    precision_and_recall,
    searches,
    threshold_for_precision,
)
from perception_contrast_training.config.rescoring_recipe import RescoringCalibrationSettings
from perception_contrast_training.household.training_sets import TrainingSets


def rescored_regions(pipeline: Pipeline, asked: Sequence[Search]) -> JudgedRegions:
    """The regions that a node's budget of views reaches."""
    searcher, views = pipeline.frame_search.searcher, pipeline.settings.max_rescored
    return judged(pipeline, asked, features=lambda scored: searcher.rescoring_features(scored, views))


def fit_rescoring_calibration(
    regions: JudgedRegions, least_right: float
) -> tuple[RescoringCalibration, dict[str, Any]]:
    """Probability and threshold, and what was seen.

    Args:
        regions: With ``rescoring_calibration.FEATURES``.
        least_right: Share of what is published at the threshold that is right, in each group.

    Raises:
        PerceptionError: Regions are all right or all wrong.
    """
    right = int(regions.correct.sum())
    if not 0 < right < len(regions.correct):
        raise PerceptionError("regions of both kinds, right and wrong, are needed; calibrate on more scenes")
    weights, offset = platt(regions.features, regions.correct, sample_weights=regions.weights)
    fitted = RescoringCalibration(weights, offset)
    probability = np.array([fitted.probability(row) for row in regions.features])
    detection = threshold_for_precision(probability, regions, least_right)
    facts = {
        "detection": detection,
        "ece": errors_by_group(probability, regions),
        "groups": precision_and_recall(probability, regions, detection),
    }
    return RescoringCalibration(weights, offset, detection), facts


def calibrate_rescoring(
    pipeline: Pipeline,
    path: Path,
    settings: RescoringCalibrationSettings,
    sets: TrainingSets | None = None,
    offline: bool = False,
) -> dict[str, Any]:
    """Writes the calibration into a rescoring head's file; gives what was seen while fitting.

    Args:
        pipeline: With that head. Scenes are others than those of the calibration before rescoring.
        path: The file.
        settings: Of the recipe.
        sets: Photographs, whose calibration part is used beside rendered rooms; None: rooms alone.
        offline: Whether a network may not be touched.
    """
    asked = searches(pipeline, asked_images(settings, sets, offline, views=2))
    calibration, facts = fit_rescoring_calibration(rescored_regions(pipeline, asked), settings.least_right)
    head, known, _ = load_rescoring_head(path)
    kept = {key: text for key, text in known.items() if key not in ("format", "config")}
    kept |= {"calibration": calibration.dumped(), "calibration_seen": json.dumps(facts)}
    save_rescoring_head(head, path, kept)
    return facts
