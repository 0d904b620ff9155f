"""Semantic segmentation by words: what the node's label image says of each pixel."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.frame import Frame
from perception_contrast.core.vocabulary import Vocabulary
from perception_contrast.pipeline.output_request import OutputRequest
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast_training.cli.eval_options import (
    Job,
    household_of,
    ignored_of,
    labels_of,
    matched,
    vocabulary_for,
)
from perception_contrast_training.evaluation.metrics.boundary import BOUND, boundary_f
from perception_contrast_training.evaluation.metrics.confusion import ConfusionMatrix
from perception_contrast_training.evaluation.per_image import PerImage
from perception_contrast_training.evaluation.readers.folders import LabelFolder
from perception_contrast_training.evaluation.readers.types import IGNORED, LabelledImage, LabelledSet
from perception_contrast_training.evaluation.report import Outcome, Table
from perception_contrast_training.evaluation.result_images import WorstCases, confusion_image, tinted


class SegmentationFigures:
    """Gathers label maps of a set; figures over all of it."""

    def __init__(self, names: tuple[str, ...], *, worst: bool = False) -> None:
        """worst: keep the images with the lowest accuracy for a contact sheet."""
        self.names = names
        self.confusion = ConfusionMatrix(len(names))
        self._outlines: list[list[float]] = [[] for _ in names]
        self._worst = WorstCases() if worst else None
        self._images = 0

    def add(self, sample: LabelledImage, predicted: NDArray[np.int64]) -> None:
        """predicted: (H, W) index of a class, or below 0 for none."""
        self._images += 1
        self.confusion.add(sample.labels, predicted)
        ignored = sample.labels == IGNORED
        for number in np.unique(sample.labels[~ignored]):
            outline = boundary_f(sample.labels == number, predicted == number, ignored=ignored)
            self._outlines[int(number)].append(outline)
        if self._worst is not None:
            accuracy = float(np.mean(predicted[~ignored] == sample.labels[~ignored]))
            panels = [sample.image, *(tinted(sample.image, m) for m in (sample.labels, predicted))]
            self._worst.add(accuracy, f"{sample.name}: {accuracy:.2f} of the pixels right", panels)

    def merge(self, later: SegmentationFigures) -> None:
        """Adds the images of another, with the same names, behind those of this one."""
        self._images += later._images
        self.confusion.merge(later.confusion)
        for outlines, others in zip(self._outlines, later._outlines, strict=True):
            outlines += others
        if self._worst is not None and later._worst is not None:
            self._worst.merge(later._worst)

    def outcome(self, title: str) -> Outcome:
        """Figures, tables and images. Raises PerceptionError if there was no image."""
        if not self._images:
            raise PerceptionError("no image could be read; nothing was measured")
        figures, table = self.figures(), self._classes()
        summary = Table(
            title,
            ("figure", "value"),
            [
                ("mIoU", figures["miou"]),
                ("pixel accuracy", figures["pixel_accuracy"]),
                (f"boundary F (within {BOUND:.3f} of the diagonal)", figures["boundary_f"]),
                ("images", self._images),
            ],
        )
        outcome = Outcome(figures, [summary, table])
        if self._worst is not None:
            outcome.images["confusion.png"] = confusion_image(self.confusion.counts, self.names)
            sheet = self._worst.sheet()
            if sheet is not None:
                outcome.images["worst.png"] = sheet
        return outcome

    def figures(self) -> dict[str, Any]:
        """By the names of docs/evaluate.md."""
        boundary = self.boundary()
        return {
            "miou": self.confusion.mean_iou(),
            "pixel_accuracy": self.confusion.accuracy(),
            "boundary_f": float(np.nanmean(boundary)) if np.isfinite(boundary).any() else float("nan"),
            "boundary_bound": BOUND,
            "iou": dict(zip(self.names, self.confusion.iou().tolist(), strict=True)),
            "boundary_f_by_class": dict(zip(self.names, boundary.tolist(), strict=True)),
            "confusion": self.confusion.counts,
        }

    def boundary(self) -> NDArray[np.float64]:
        """(classes,) mean over the images that show a class; nan for a class that none shows."""
        return np.array([np.mean(values) if values else np.nan for values in self._outlines])

    def _classes(self) -> Table:
        counts = self.confusion.counts.sum(axis=1)
        columns = zip(
            self.names,
            self.confusion.iou().tolist(),
            self.boundary().tolist(),
            (counts / max(counts.sum(), 1)).tolist(),
            strict=True,
        )
        rows = [row for row in columns if row[1] == row[1]]
        return Table("Classes", ("class", "IoU", "boundary F", "share of pixels"), rows)


def classes_of(masks: NDArray[np.uint16], vocabulary: Vocabulary) -> NDArray[np.int64]:
    """A label image of the pipeline to indices of the vocabulary's queries, -1 where it has none."""
    table = np.full(65536, -1, np.int64)
    for index, query in enumerate(vocabulary.queries):
        table[vocabulary.ids[query.label]] = index
    return np.asarray(table[masks])


def labelled_set(job: Job) -> tuple[LabelledSet, Vocabulary]:
    """The data and a query for each of their classes. Raises PerceptionError."""
    options, vocabulary = job.options, vocabulary_for(job.options)
    household = household_of(options)
    if household is not None:
        from perception_contrast_training.evaluation.readers.household import HouseholdScenes

        scenes = HouseholdScenes(household).labelled()
        return scenes, matched(vocabulary, scenes.names)
    if vocabulary is None:
        raise PerceptionError(
            f"'{options.data}' has no class list; write classes.txt there, a name a line in the order of "
            "the numbers from 0 on, or give --vocabulary"
        )
    folder = LabelFolder(
        Path(options.data), labels_of(vocabulary), ignored_of(options), job.skipped, options.limit
    )
    return folder, vocabulary


def segment(job: Job) -> Outcome:
    """Every image with all classes asked for at once. Raises PerceptionError."""
    data, vocabulary = labelled_set(job)
    measure = PerImage(job, partial(_Segment, vocabulary=vocabulary, draw=job.options.draw))
    figures = SegmentationFigures(labels_of(vocabulary), worst=job.options.draw)
    for found in measure(data, "segmenting", len(data)):
        figures.merge(found)
    return figures.outcome("Segmentation by words")


class _Segment:
    """The figures of an image."""

    facts = None

    def __init__(self, pipeline: Pipeline, vocabulary: Vocabulary, *, draw: bool) -> None:
        self._pipeline, self._names, self._draw = pipeline, labels_of(vocabulary), draw
        pipeline.set_queries(vocabulary.queries, vocabulary.distractors)

    def __call__(self, sample: LabelledImage) -> SegmentationFigures:
        figures = SegmentationFigures(self._names, worst=self._draw)
        figures.add(sample, predicted_classes(self._pipeline, sample))
        return figures


def predicted_classes(pipeline: Pipeline, sample: LabelledImage) -> NDArray[np.int64]:
    """What the node would publish as masks, as indices of its queries."""
    result = pipeline.process(Frame(sample.image), OutputRequest(masks=True))
    assert result.masks is not None
    return classes_of(result.masks, result.vocabulary)
