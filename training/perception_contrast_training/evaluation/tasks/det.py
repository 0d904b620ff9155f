"""Detection by words: average precision, calibration, things that touch, and "is there an X?"."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from perception_contrast.core.detection import Detection
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.frame import Frame
from perception_contrast.core.vocabulary import Query, Vocabulary
from perception_contrast.pipeline.image_features import ImageFeatures
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.segmentation.prepared_queries import PreparedQueries
from perception_contrast.visualization.overlay import overlay
from perception_contrast_training.cli.eval_options import (
    Job,
    household_of,
    labels_of,
    matched,
    vocabulary_for,
)
from perception_contrast_training.evaluation.figures import placed
from perception_contrast_training.evaluation.metrics.coco import KINDS, CocoFigures, Matches
from perception_contrast_training.evaluation.metrics.presence import operating_curve, reported, threshold_for
from perception_contrast_training.evaluation.metrics.reliability import Reliability, reliability
from perception_contrast_training.evaluation.metrics.touching import TouchCounts
from perception_contrast_training.evaluation.per_image import PerImage
from perception_contrast_training.evaluation.readers.coco import CocoSet
from perception_contrast_training.evaluation.readers.types import Mask, ThingsImage, ThingsSet
from perception_contrast_training.evaluation.report import Outcome, Table
from perception_contrast_training.evaluation.result_images import (
    WorstCases,
    curve_image,
    reliability_image,
    tinted,
)

LOWEST = 0.003  # probability from which average precision looks at reports
RECALL = 0.9  # of present names, at which absent ones are counted


@dataclass
class Presence:
    """Best probability of every name that was asked for, of those there and those not."""

    present: list[float] = field(default_factory=list)
    absent: list[float] = field(default_factory=list)


class DetectionFigures:
    """Gathers images; figures over all of them."""

    def __init__(self, names: Sequence[str], published: float) -> None:
        """published: probability from which the pipeline reports a thing."""
        self.names, self.published = tuple(names), published
        self.presence = Presence()
        self._coco = CocoFigures(self.names)
        self._touch = TouchCounts()
        self._inside: list[tuple[float, bool]] = []

    @property
    def images(self) -> int:
        """How many were added."""
        return len(self._coco.images)

    def merge(self, later: DetectionFigures) -> None:
        """Adds the images of another, with the same names, behind those of this one."""
        self.presence.present += later.presence.present
        self.presence.absent += later.presence.absent
        self._coco.merge(later._coco)
        self._touch.merge(later._touch)
        self._inside += later._inside

    def add(self, sample: ThingsImage, detections: Sequence[Detection]) -> None:
        """detections: all from LOWEST on, of all names."""
        size = (sample.image.shape[0], sample.image.shape[1])
        self._coco.add_image(size)
        found: dict[str, list[tuple[Mask, float]]] = {name: [] for name in self.names}
        for detection in detections:
            found[detection.label].append((placed(detection, size), detection.scores.probability))
        for name in self.names:
            truths = [thing for thing in sample.things if name in thing.names]
            for thing in truths:
                self._coco.add_truth(name, thing.mask, ignored=thing.ignored)
            for mask, probability in found[name]:
                self._coco.add_prediction(name, mask, probability)
            self._add_regions(name, sample, found[name])

    def _add_regions(self, name: str, sample: ThingsImage, found: list[tuple[Mask, float]]) -> None:
        area = np.zeros(sample.image.shape[:2], bool)
        for thing in sample.things:
            if name in thing.names:
                area |= thing.mask
        self._inside += [(probability, bool(area[mask].mean() >= 0.5)) for mask, probability in found]
        own = [thing.mask for thing in sample.things if thing.names[0] == name and not thing.ignored]
        self._touch.add(own, [mask for mask, probability in found if probability >= self.published])

    def outcome(self) -> Outcome:
        """Figures, tables and images of reliability and presence."""
        kinds = {kind: self._coco.evaluate(kind) for kind in KINDS}
        matches = kinds["masks"][2]
        bins = {"matched": _bins(matches), "inside": self._inside_bins()}
        presence = presence_figures(self.presence, self.published)
        figures: dict[str, Any] = {kind: statistics for kind, (statistics, _, _) in kinds.items()}
        figures |= {
            "ap_by_class": kinds["masks"][1],
            "calibration": {name: _described(one) for name, one in bins.items()},
            "touching": self._touching(),
            "presence": presence,
            "pictures": self.images,
        }
        outcome = Outcome(figures, _tables(figures, kinds["masks"][1]))
        outcome.images["reliability.png"] = reliability_image(bins["matched"], "found at IoU 0.5")
        outcome.images["reliability_inside.png"] = reliability_image(bins["inside"], "half on a true thing")
        if self.presence.present or self.presence.absent:
            curve = operating_curve(self.presence.present, self.presence.absent)
            outcome.images["presence.png"] = curve_image(
                curve, self.published, presence["threshold_at_recall"]
            )
        return outcome

    def _inside_bins(self) -> Reliability:
        probability = np.array([p for p, _ in self._inside], float)
        return reliability(probability, np.array([right for _, right in self._inside], bool))

    def _touching(self) -> dict[str, float | int]:
        count = self._touch
        return {
            "things": count.touching,
            "merged": count.merged / count.touching if count.touching else float("nan"),
            "split": count.split / count.touching if count.touching else float("nan"),
        }


def presence_figures(presence: Presence, published: float) -> dict[str, Any]:
    """By the names of docs/evaluate.md."""
    threshold = threshold_for(presence.present, RECALL)
    return {
        "present_names": len(presence.present),
        "absent_names": len(presence.absent),
        "recall": RECALL,
        "threshold_at_recall": threshold,
        "absent_at_recall": None if threshold is None else reported(presence.absent, threshold),
        "reachable_recall": reported(presence.present, 0.0),
        "published_threshold": published,
        "present_at_published": reported(presence.present, published),
        "absent_at_published": reported(presence.absent, published),
        "curve": operating_curve(presence.present, presence.absent),
    }


def detect(job: Job) -> Outcome:
    """All names asked for at once, then single names for "is there an X?". Raises PerceptionError."""
    data, vocabulary = _things_set(job)
    measure = PerImage(job, partial(_Detect, vocabulary=vocabulary, draw=job.options.draw))
    figures = DetectionFigures(labels_of(vocabulary), measure.facts)
    worst, took = WorstCases(), list[float]()
    asked = _asked(data, job.options.seed, job.options.absent)
    for found in measure(asked, "detecting", len(data)):
        figures.merge(found.figures)
        worst.merge(found.worst)
        took.append(found.seconds)
    if not figures.images:
        raise PerceptionError("no image could be read; nothing was measured")
    outcome = figures.outcome()
    outcome.figures["fps"] = 1.0 / float(np.median(took))
    sheet = worst.sheet()
    if sheet is not None:
        outcome.images["worst.png"] = sheet
    return outcome


@dataclass(frozen=True)
class _Asked:
    """An image, and the names of what it does not show that are asked for."""

    sample: ThingsImage
    absent: tuple[str, ...]


@dataclass(frozen=True)
class _Detected:
    """What an image adds. seconds: that features and the search for all names took."""

    figures: DetectionFigures
    worst: WorstCases
    seconds: float


def _asked(data: Iterable[ThingsImage], seed: int, absent: int) -> Iterator[_Asked]:
    """Each image with ``absent`` names drawn by chance, the same wherever it is measured."""
    rng = np.random.default_rng(seed)
    for sample in data:
        names = rng.permutation(np.array(sample.absent, object))[:absent]
        yield _Asked(sample, tuple(str(name) for name in names))


class _Detect:
    """The figures of an image.

    Attributes:
        facts: Probability from which the pipeline reports a thing.
    """

    def __init__(self, pipeline: Pipeline, vocabulary: Vocabulary, *, draw: bool) -> None:
        self._pipeline, self._vocabulary, self._draw = pipeline, vocabulary, draw
        self._everything = pipeline.prepare(vocabulary)
        self._low = replace(pipeline.settings, detection_threshold=LOWEST)
        self._scorer = _PresenceScorer(pipeline, vocabulary)
        self.facts = pipeline.frame_search.detection_threshold(pipeline.settings)

    def __call__(self, asked: _Asked) -> _Detected:
        frame = Frame(asked.sample.image)
        began = time.perf_counter()
        seen = self._pipeline.extract_features(frame)
        detections = self._pipeline.search(frame, seen, self._everything, self._low).detections
        seconds = time.perf_counter() - began
        figures, worst = DetectionFigures(labels_of(self._vocabulary), self.facts), WorstCases()
        figures.add(asked.sample, detections)
        self._scorer.score(frame, seen, asked, figures.presence)
        if self._draw:
            _show(worst, asked.sample, [d for d in detections if d.scores.probability >= self.facts])
        return _Detected(figures, worst, seconds)


class _PresenceScorer:
    """Asks for one name at a time, as who wants to know whether there is an X does."""

    def __init__(self, pipeline: Pipeline, vocabulary: Vocabulary) -> None:
        self._pipeline, self._distractors = pipeline, vocabulary.distractors
        self._queries = {query.label: query for query in vocabulary.queries}
        self._prepared: dict[str, PreparedQueries] = {}

    def score(self, frame: Frame, seen: ImageFeatures, asked: _Asked, presence: Presence) -> None:
        """All names that are there and large enough, and those that are not and are asked for."""
        things = [thing for thing in asked.sample.things if not thing.ignored]
        there = {name for thing in things for name in thing.names if name in self._queries}
        presence.present += [self._best(frame, seen, name) for name in sorted(there)]
        presence.absent += [self._best(frame, seen, name) for name in asked.absent]

    def _best(self, frame: Frame, seen: ImageFeatures, name: str) -> float:
        if name not in self._prepared:
            query = self._queries.get(name, Query(name))
            self._prepared[name] = self._pipeline.prepare(
                Vocabulary().with_queries([query], self._distractors)
            )
        low = replace(self._pipeline.settings, detection_threshold=LOWEST)
        detections = self._pipeline.search(frame, seen, self._prepared[name], low).detections
        return max((d.scores.probability for d in detections), default=0.0)


def _things_set(job: Job) -> tuple[ThingsSet, Vocabulary]:
    options, vocabulary = job.options, vocabulary_for(job.options)
    household = household_of(options)
    if household is not None:
        from perception_contrast_training.evaluation.readers.household import HouseholdScenes

        scenes = HouseholdScenes(household)
        return scenes, matched(vocabulary, scenes.names)
    if Path(options.data).is_dir():
        raise PerceptionError(
            f"'{options.data}' is a folder; for det give a COCO JSON (images: --images) or household"
        )
    coco = CocoSet(Path(options.data), options.images, job.skipped, options.limit)
    return coco, matched(vocabulary, coco.names)


def _show(worst: WorstCases, sample: ThingsImage, published: list[Detection]) -> None:
    """Scores an image by the share of its things that were found by their name."""
    size = (sample.image.shape[0], sample.image.shape[1])
    counted = [thing for thing in sample.things if not thing.ignored]
    labels = np.full(size, -1, np.int64)
    found = 0
    for number, thing in enumerate(counted):
        labels[thing.mask] = number
        masks = [placed(d, size) for d in published if d.label in thing.names]
        found += any((thing.mask & m).sum() >= 0.5 * (thing.mask | m).sum() for m in masks)
    share = found / len(counted) if counted else float("nan")
    ids = {label: number for number, label in enumerate(sorted({d.label for d in published}), 1)}
    panels = [sample.image, tinted(sample.image, labels), overlay(sample.image, published, ids, scores=True)]
    worst.add(share, f"{sample.name}: {found} of {len(counted)} things found", panels)


def _bins(matches: Matches) -> Reliability:
    return reliability(matches.probability, matches.correct)


def _described(bins: Reliability) -> dict[str, Any]:
    return {"error": bins.error, "counts": bins.counts, "stated": bins.stated, "actual": bins.actual}


def _tables(figures: Mapping[str, Any], by_class: Mapping[str, float]) -> list[Table]:
    headings = ("average precision", "AP", "AP50", "AP75", "small", "medium", "large")
    kinds = [(kind, *figures[kind].values()) for kind in KINDS]
    presence, touching = figures["presence"], figures["touching"]
    published = f"{presence['published_threshold']:.2f}"
    rows = [
        ("calibration error, found at IoU 0.5", figures["calibration"]["matched"]["error"]),
        ("calibration error, half on a true thing", figures["calibration"]["inside"]["error"]),
        ("things that touch one of their class", touching["things"]),
        ("of those merged", touching["merged"]),
        ("of those split", touching["split"]),
        (f"absent names reported at {RECALL:.0%} of present names", presence["absent_at_recall"]),
        (f"absent names reported at the published {published}", presence["absent_at_published"]),
        (f"present names reported at {published}", presence["present_at_published"]),
        ("images", figures["pictures"]),
    ]
    classes = sorted(by_class.items(), key=lambda item: -item[1])
    return [
        Table("Detection by words", headings, kinds),
        Table("Beyond average precision", ("figure", "value"), rows),
        Table("Classes", ("class", "AP of masks"), classes),
    ]
