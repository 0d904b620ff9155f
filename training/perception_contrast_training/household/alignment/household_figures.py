"""Measures a pipeline on rendered households: the questions a robot asks, and exact answers."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from perception_contrast.core.cache import atomic_write
from perception_contrast.core.frame import Frame
from perception_contrast.core.vocabulary import Query, Vocabulary
from perception_contrast.images.resize import resize_labels
from perception_contrast.pipeline.image_features import ImageFeatures
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.segmentation.prepared_queries import PreparedQueries
from perception_contrast.segmentation.search_result import SearchResult
from perception_contrast_sim.objects.catalogue import catalogue
from perception_contrast_sim.rooms.scenes import LabelledScene, SceneSampler, SceneSettings
from perception_contrast_training.config.alignment_recipe import HouseholdTest
from perception_contrast_training.evaluation.figures import Mask, PrecisionRecall, iou, placed
from perception_contrast_training.household.questions import (
    LEAST_SHARE,
    Question,
    absent_questions,
    mask_of,
    present_questions,
)
from perception_contrast_training.household.words import SURFACES, Concept, Words

LOWEST_SCORE = 0.003
SIZES = ((0.0, 0.008, "small"), (0.008, 0.03, "medium"), (0.03, 1.0, "large"))


class _SearchedImage:
    """One image, seen once and asked many things."""

    def __init__(self, pipeline: Pipeline, image: LabelledScene) -> None:
        self.pipeline, self.image = pipeline, image
        self.frame = Frame(image.rgb)
        self.seen: ImageFeatures = pipeline.extract_features(self.frame)

    def __call__(self, query: Query) -> SearchResult:
        prepared = self.pipeline.prepare(Vocabulary().with_queries([query]))
        return self.pipeline.search(self.frame, self.seen, prepared)

    def pixels(self, query: Query) -> Mask:
        """All pixels above the one threshold of words, whether or not a region would be reported."""
        searcher = self.pipeline.frame_search.searcher
        prepared = self.pipeline.prepare(Vocabulary().with_queries([query]))
        logits = searcher.refined_logits(self.frame.image, self.seen.semantic, self.seen.features, prepared)
        return np.asarray(
            resize_labels((logits >= searcher.calibration.mask).astype(np.uint8), self.frame.size) > 0
        )


class HouseholdFigures:
    """Adds images one by one; ``summary`` gives the table."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._overlaps: dict[str, list[float]] = defaultdict(list)
        self._fired: dict[str, list[bool]] = defaultdict(list)
        self._found: list[bool] = []
        self._precision: dict[str, PrecisionRecall] = defaultdict(PrecisionRecall)
        self._words = Words(held_out=True, unseen=True)
        names = tuple(c.name for c in catalogue() if not c.held_out) + tuple(SURFACES)
        self._alone: dict[str, PreparedQueries] = {
            name: pipeline.prepare(Vocabulary().with_queries([Query(name)])) for name in names
        }

    def add(self, image: LabelledScene, rng: np.random.Generator, absent: int) -> None:
        asker = _SearchedImage(self._pipeline, image)
        for question in present_questions(image, self._words, rng):
            self._answer(question, asker(Query(question.text)))
            pixels = asker.pixels(Query(question.text))
            assert question.truth is not None
            self._overlaps[f"{question.kind}, no gate"].append(iou(pixels, question.truth))
        for question in absent_questions(image, self._words, rng, absent):
            self._answer(question, asker(Query(question.text)))
        self._detect(asker)

    def _answer(self, question: Question, found: SearchResult) -> None:
        fired = len(found.detections) > 0
        if question.truth is None:
            self._fired[question.kind].append(fired)
            return
        overlap = iou(np.asarray(found.masks != 65535), question.truth)
        self._overlaps[question.kind].append(overlap)
        if question.kind == "category":
            self._found.append(fired)
            share = float(question.truth.mean())
            for low, high, name in SIZES:
                if low <= share < high:
                    self._overlaps[f"category, {name}"].append(overlap)

    def _detect(self, asker: _SearchedImage) -> None:
        image, size = asker.image, asker.frame.size
        # Average precision looks at all thresholds, so nothing is left out by one.
        settings = replace(self._pipeline.settings, detection_threshold=LOWEST_SCORE)
        for name, prepared in self._alone.items():
            kinds = self._words.kinds[name]
            numbers = [n for n, thing in image.objects.items() if thing.category in kinds]
            detections = self._pipeline.search(asker.frame, asker.seen, prepared, settings).detections
            if not numbers and not detections:
                continue
            truths = [image.instances == n for n in numbers]
            masks = [placed(d, size) for d in detections]
            overlaps = np.array([[iou(m, t) for t in truths] for m in masks]).reshape(len(masks), len(truths))
            ignored = [float(t.mean()) < LEAST_SHARE for t in truths]
            scores = [d.scores.probability for d in detections]
            self._precision[name].add(scores, overlaps, ignored, 0.5)

    def summary(self) -> dict[str, Any]:
        """Means by kind with counts, AP50 over categories, share of absent things that fired."""
        precisions = [p.average_precision() for p in self._precision.values() if p.truths]
        return {
            "iou": {k: round(float(np.mean(v)), 4) for k, v in sorted(self._overlaps.items())},
            "questions": {
                **{k: len(v) for k, v in sorted(self._overlaps.items())},
                **{k: len(v) for k, v in sorted(self._fired.items())},
            },
            "ap50": round(float(np.mean(precisions)), 4) if precisions else None,
            "ap50_categories": len(precisions),
            "fired_when_absent": {k: round(float(np.mean(v)), 4) for k, v in sorted(self._fired.items())},
            "found_when_present": round(float(np.mean(self._found)), 4) if self._found else None,
        }


def measure(pipeline: Pipeline, test: HouseholdTest, offline: bool = False) -> dict[str, Any]:
    """Runs the test; figures by name."""
    from rich.progress import track

    sampler = SceneSampler(test.seed, SceneSettings(unseen=test.unseen, offline=offline))
    figures = HouseholdFigures(pipeline)
    rng = np.random.default_rng(test.seed)
    images = zip(range(test.scenes), sampler, strict=False)
    for _, image in track(images, "asking about unseen scenes", total=test.scenes):
        figures.add(image, rng, test.absent)
    return figures.summary()


def measure_held_out(
    pipeline: Pipeline, test: HouseholdTest, offline: bool = False, shots: Sequence[int] = (1, 5)
) -> dict[str, Any]:
    """Categories that training never saw, by name and by examples from other scenes (same category).

    Every scene with the thing is asked; its examples come from the scenes before it, so the first
    ones of each category serve as examples alone.
    """
    from rich.progress import track

    settings = SceneSettings(unseen=test.unseen, held_out=True, offline=offline)
    words, kept = Words(held_out=True, unseen=True), [c.name for c in catalogue() if c.held_out]
    shown: dict[str, list[Any]] = defaultdict(list)
    overlaps: dict[str, list[float]] = defaultdict(list)
    images = zip(range(test.held_out_scenes), SceneSampler(test.seed + 1, settings), strict=False)
    for _, image in track(images, "asking for held-out things", total=test.held_out_scenes):
        asker: _SearchedImage | None = None
        for name in kept:
            truth = mask_of(image, words, Concept(name))
            if truth is None or truth.mean() < LEAST_SHARE:
                continue
            asker = asker or _SearchedImage(pipeline, image)
            overlaps["words"].append(iou(asker(Query(name)).masks != 65535, truth))
            for count in shots:
                if len(shown[name]) >= count:
                    found = asker(Query(name, exemplars=tuple(shown[name][-count:])))
                    overlaps[f"{count} exemplar{'s' if count > 1 else ''}"].append(
                        iou(found.masks != 65535, truth)
                    )
            shown[name].append(pipeline.query_encoder.encode_exemplar(asker.seen, box=box_of(image, name)))
    return {
        "iou": {k: round(float(np.mean(v)), 4) for k, v in overlaps.items()},
        "questions": {k: len(v) for k, v in overlaps.items()},
    }


def measure_all(pipeline: Pipeline, test: HouseholdTest, offline: bool = False) -> dict[str, Any]:
    """Everything that the model card states."""
    return {
        "unseen scenes": measure(pipeline, test, offline),
        "held out": measure_held_out(pipeline, test, offline),
    }


def box_of(image: LabelledScene, name: str) -> tuple[float, float, float, float]:
    """Box (x0, y0, x1, y1) of the largest thing of a category."""
    numbers = [n for n, thing in image.objects.items() if thing.category == name]
    largest = max(numbers, key=lambda n: int(np.count_nonzero(image.instances == n)))
    ys, xs = np.nonzero(image.instances == largest)
    return float(xs.min()), float(ys.min()), float(xs.max() + 1), float(ys.max() + 1)


def write_figures(path: Path, figures: dict[str, Any]) -> None:
    """JSON, atomically."""
    atomic_write(path, (json.dumps(figures, indent=2) + "\n").encode())
