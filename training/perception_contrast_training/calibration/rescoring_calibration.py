"""Fits what a second look makes of a region's probability, on scenes kept apart from training."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.frame import Frame
from perception_contrast.core.vocabulary import Query, Vocabulary
from perception_contrast.encoders.rescoring_head import load_rescoring_head, save_rescoring_head
from perception_contrast.images.resize import resize_labels
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.segmentation.rescoring.rescoring_calibration import RescoringCalibration
from perception_contrast_training.calibration.fitting import platt
from perception_contrast_training.calibration.household_calibration import fits, threshold_of
from perception_contrast_training.config.rescoring_recipe import RescoringCalibrationSettings
from perception_contrast_training.evaluation.metrics.reliability import expected_calibration_error
from perception_contrast_training.household.labelled import Labelled, household

EVERY_VIEW = 1_000_000


@dataclass(frozen=True)
class RescoredRegions:
    """Regions seen again. features: (n, k); correct: they are what was asked for; case: (n,) number of the
    question; absent: (cases,) whether what a question asks for is certainly not there."""

    features: NDArray[np.float64]
    correct: NDArray[np.bool_]
    case: NDArray[np.int64]
    absent: NDArray[np.bool_]


def rescored_regions(pipeline: Pipeline, images: Iterable[Labelled]) -> RescoredRegions:
    """Asks every question of every image."""
    features: list[tuple[float, ...]] = []
    correct: list[bool] = []
    case: list[int] = []
    absent: list[bool] = []
    for image in images:
        for number, values, hit in _answers(pipeline, image):
            features.append(values)
            correct.append(hit)
            case.append(len(absent) + number)
        last = _numbered(image)
        # What is asked for twice is answered once.
        absent += [
            q.truth is None and q.kind == "absent name" and last[q.text] == number
            for number, q in enumerate(image.questions)
        ]
    return RescoredRegions(
        np.array(features, float), np.array(correct, bool), np.array(case, np.int64), np.array(absent, bool)
    )


def _numbered(image: Labelled) -> dict[str, int]:
    """What is asked of an image to the number of the question, the last where it is asked twice."""
    return {question.text: number for number, question in enumerate(image.questions)}


def _answers(pipeline: Pipeline, image: Labelled) -> Iterator[tuple[int, tuple[float, ...], bool]]:
    """Number of its question, features and correctness of each region that is looked at again."""
    frame, searcher = Frame(image.rgb), pipeline.frame_search.searcher
    seen = pipeline.extract_features(frame)
    numbers = _numbered(image)
    # Queries do not compete, so each may be asked beside the others.
    prepared = pipeline.prepare(Vocabulary().with_queries([Query(text) for text in numbers]))
    asked = list(numbers.values())
    scored = searcher.candidates(frame.image, seen.semantic, seen.features, prepared)
    again = searcher.rescoring_features(scored, EVERY_VIEW)
    truths: dict[int, NDArray[np.bool_]] = {}
    for place, values in again.items():
        candidate = scored.candidates[place]
        number, region = asked[candidate.query], candidate.region
        truth = image.questions[number].truth
        if truth is not None and number not in truths:
            truths[number] = resize_labels(truth, scored.context.map_size)
        yield number, values, number in truths and fits(region, truths[number])


def fit_rescoring_calibration(
    looked: RescoredRegions, most_fired: float
) -> tuple[RescoringCalibration, dict[str, float]]:
    """most_fired: share of absent names that may be reported. Raises PerceptionError for too little."""
    right = int(looked.correct.sum())
    if not 0 < right < len(looked.correct):
        raise PerceptionError("regions of both kinds, right and wrong, are needed; calibrate on more scenes")
    weights, offset = platt(looked.features, looked.correct)
    score = looked.features @ np.array(weights) + offset
    chance = expit(score)
    detection = threshold_of(looked.absent, looked.case.tolist(), chance, most_fired)
    facts = {
        "regions": float(len(chance)),
        "correct": float(looked.correct.mean()),
        "ece": expected_calibration_error(chance, looked.correct),
        "detection": detection,
    }
    return RescoringCalibration(weights, offset, detection), facts


def calibrate_rescoring(
    pipeline: Pipeline, path: Path, settings: RescoringCalibrationSettings, offline: bool = False
) -> dict[str, float]:
    """Writes the calibration into the zoom head's file; gives what was seen while fitting.

    pipeline: with that head. Scenes are others than those of the first look's calibration.
    """
    from rich.progress import track

    images: Iterable[Labelled] = household(
        settings.seed, settings.scenes, settings.absent, offline, views=2, unseen=settings.unseen
    )
    looked = rescored_regions(pipeline, track(images, "calibrating the second look", total=settings.scenes))
    calibration, facts = fit_rescoring_calibration(looked, settings.most_fired)
    head, known, _ = load_rescoring_head(path)
    kept = {key: text for key, text in known.items() if key not in ("format", "config")}
    kept |= {"calibration": calibration.dumped(), "calibration_seen": json.dumps(facts)}
    save_rescoring_head(head, path, kept)
    return facts
