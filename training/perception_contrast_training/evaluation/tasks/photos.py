"""Words on labelled photographs: what a user with a camera will see."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.detection import Detection
from perception_contrast.core.errors import FrameError, PerceptionError
from perception_contrast.core.frame import Frame
from perception_contrast.core.vocabulary import MAX_QUERIES, Query, Vocabulary
from perception_contrast.pipeline.image_features import ImageFeatures
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.segmentation.prepared_queries import PreparedQueries
from perception_contrast.visualization.overlay import overlay
from perception_contrast_training.cli.eval_options import Job, labels_of, naming_of
from perception_contrast_training.evaluation.metrics.photographs import PhotoFigures, PhotoTruth, nearest
from perception_contrast_training.evaluation.per_image import PerImage, Unreadable
from perception_contrast_training.evaluation.progress import tracked
from perception_contrast_training.evaluation.readers.names import vocabulary_of
from perception_contrast_training.evaluation.readers.types import Skipped
from perception_contrast_training.evaluation.report import Outcome, Table
from perception_contrast_training.evaluation.result_images import WorstCases, tinted
from perception_contrast_training.photographs.base import LabelledPhoto, PhotoSet, TruthTable
from perception_contrast_training.photographs.naming import Naming
from perception_contrast_training.photographs.open_photos import open_photos
from perception_contrast_training.photographs.splits import evenly, part_of

LOWEST = 0.003  # probability from which average precision looks at reports
REPORTS = 1000  # of an image at most
_TITLE = "asking for names in photographs of {}"
SHOWN = (
    ("precision at the default threshold", "precision"),
    ("recall at it", "recall"),
    ("false names an image", "false_names_per_image"),
    ("IoU of present names", "present_iou"),
    ("mIoU by arg-max", "miou"),
    ("AP50", "ap50"),
    ("presence AUC", "presence_auc"),
    ("absent names at 90 % recall", "absent_at_recall"),
    ("regions named correctly", "region_naming"),
    ("calibration error", "calibration_error"),
)
NEW = (
    ("IoU of present names that the model never learned", "new_present_iou"),
    ("regions of such names named correctly", "new_region_naming"),
)


def photographs(job: Job) -> Outcome:
    """All names of a set, or those of --vocabulary, asked for at once in its test photographs.

    Raises:
        PerceptionError: Nothing can be measured.
    """
    naming = naming_of(job.options)
    source = open_photos(Path(job.options.data), naming, skipped=job.skipped)
    asked = None
    if job.options.vocabulary is not None:
        asked = _known(labels_of(vocabulary_of(job.options.vocabulary)), naming)
    keys, names = _test_keys(source, job.options.limit), _asked(source, naming, asked)
    make = partial(_Photograph, source=source, naming=naming, names=names, draw=job.options.draw)
    measure, worst = PerImage[str, _Measured | Unreadable](job, make), WorstCases()
    found = measure(keys, _TITLE.format(source.facts.name), len(keys))
    figures = _gathered(names, measure.facts, zip(keys, found, strict=True), job.skipped, worst)
    job.notes.append(
        f"{figures.images} of {len(source.keys)} photographs of {source.facts.name}, of its test part; "
        f"licence: {source.facts.licence}"
    )
    job.notes.append(_learned(measure.facts.file, source))
    return _outcome(source, figures, worst)


def photo_figures(
    pipeline: Pipeline, source: PhotoSet, naming: Naming, skipped: Skipped, most: int = 0
) -> PhotoFigures:
    """Figures of the test photographs of a set, with all its names asked for at once.

    Args:
        pipeline: That searches, as a node does.
        source: The set.
        naming: What its labels mean.
        skipped: Notes photographs that cannot be read.
        most: Photographs at most, 0 for all.

    Raises:
        PerceptionError: The set has no test photographs that can be read.
    """
    keys, names = _test_keys(source, most), _asked(source, naming)
    measure = _Photograph(pipeline, source, naming, names, draw=False)
    shown = tracked(keys, _TITLE.format(source.facts.name), len(keys))
    return _gathered(names, measure.facts, ((key, measure(key)) for key in shown), skipped, WorstCases())


def _test_keys(source: PhotoSet, most: int) -> tuple[str, ...]:
    keys = evenly(part_of(source.facts.name, source.keys, "test"), most)
    if not keys:
        raise PerceptionError(
            f"none of the {len(source.keys)} photographs of '{source.facts.name}' is a test one"
        )
    return keys


@dataclass(frozen=True)
class _PhotoFacts:
    """Of the pipeline.

    Attributes:
        published: Probability from which it reports a region.
        learned: Names that it learned, of those asked for; None where that is not known.
        file: What the file of the language model says of its training; nothing for most models.
    """

    published: float
    learned: frozenset[str] | None
    file: Mapping[str, str]


@dataclass(frozen=True)
class _Measured:
    """What a photograph adds."""

    figures: PhotoFigures
    worst: WorstCases


def _gathered(
    names: Sequence[str],
    facts: _PhotoFacts,
    found: Iterable[tuple[str, _Measured | Unreadable]],
    skipped: Skipped,
    worst: WorstCases,
) -> PhotoFigures:
    """The figures of all photographs, by their keys, in order. Raises PerceptionError for none."""
    figures = PhotoFigures(names, facts.published, facts.learned)
    for key, one in found:
        if isinstance(one, Unreadable):
            skipped.note(key, PerceptionError(one.reason))
        else:
            figures.merge(one.figures)
            worst.merge(one.worst)
    if not figures.images:
        raise PerceptionError("no photograph could be read; nothing was measured")
    return figures


def _learned_names(file: Mapping[str, str], names: Sequence[str], naming: Naming) -> frozenset[str] | None:
    """Those names that the model learned, by this word or as what this word means; None: it is not known."""
    learned = set(json.loads(file.get("names", "[]")))
    if not learned:
        return None
    return frozenset(name for name in names if name in learned or naming.meant(name) & learned)


def _learned(file: Mapping[str, str], source: PhotoSet) -> str:
    """Whether the model learned from photographs of the set, and whether from these: the split goes by the
    set's name and by which photographs are there."""
    counts = {one["set"]: one["photographs"] for one in json.loads(file.get("learned_from", "[]"))}
    name, train = source.facts.name, len(part_of(source.facts.name, source.keys, "train"))
    if not counts:
        return "the model's file names no photographs that it learned from"
    if counts.get(name) == train:
        return f"the model learned from the training part of {name}, which is {train} other photographs"
    return (
        f"the model learned from photographs of {', '.join(sorted(counts))}; it cannot be told whether these "
        f"are among them: {name} is no set of this name with these photographs, which the split goes by"
    )


def _known(names: Sequence[str], naming: Naming) -> tuple[str, ...]:
    """Raises PerceptionError for a name of which the lists cannot say what it is true of."""
    unknown = [name for name in names if not naming.knows(name)]
    if unknown:
        raise PerceptionError(
            f"'{unknown[0]}' is in no list of names, so the photographs' labels say nothing of it; "
            "say in a file for --names what it is true of, or leave it out of --vocabulary"
        )
    return tuple(names)


def _asked(source: PhotoSet, naming: Naming, asked: Sequence[str] | None = None) -> tuple[str, ...]:
    """What is asked for: the set's names that are in the lists, as many as can be asked for at once."""
    if asked is not None:
        return tuple(asked)
    return tuple(sorted(name for name in source.facts.names if naming.knows(name)))[:MAX_QUERIES]


class _Photograph:
    """The figures of one photograph, by its key.

    Attributes:
        facts: Of the pipeline.
    """

    def __init__(
        self, pipeline: Pipeline, source: PhotoSet, naming: Naming, names: Sequence[str], *, draw: bool
    ) -> None:
        self._pipeline, self._source, self._names, self._draw = pipeline, source, names, draw
        self._prepared = pipeline.prepare(Vocabulary().with_queries([Query(name) for name in names]))
        self._table = TruthTable(naming, source.facts)
        self._settings = replace(pipeline.settings, detection_threshold=LOWEST, max_detections=REPORTS)
        language = pipeline.query_encoder.language
        file = {} if language is None or language.fitted is None else dict(language.fitted.facts)
        published = pipeline.frame_search.detection_threshold(pipeline.settings)
        self.facts = _PhotoFacts(published, _learned_names(file, names, naming), file)

    def __call__(self, key: str) -> _Measured | Unreadable:
        try:
            photo = self._source.photo(key)
        except FrameError as error:
            return Unreadable(str(error))
        table = self._table
        truth = PhotoTruth(
            photo, table.of_regions(photo.regions, self._names), table.in_photo(photo, self._names)
        )
        figures, worst = PhotoFigures(self._names, self.facts.published, self.facts.learned), WorstCases()
        detections = self._measure(truth, figures)
        if self._draw:
            _show(worst, truth, figures, detections)
        return _Measured(figures, worst)

    def _measure(self, truth: PhotoTruth, figures: PhotoFigures) -> Sequence[Detection]:
        """Adds to the figures; gives everything that was found."""
        pipeline, frame, prepared = self._pipeline, Frame(truth.photo.image), self._prepared
        seen = pipeline.extract_features(frame)
        searcher = pipeline.frame_search.searcher
        logits = searcher.cell_logits(seen.semantic, seen.features, prepared)
        figures.add_pixels(truth, logits, searcher.calibration.mask)
        detections = pipeline.search(frame, seen, prepared, self._settings).detections
        figures.add_detections(truth, detections)
        figures.add_names(truth, _region_cosines(truth.photo, seen, prepared))
        return detections


def _show(
    worst: WorstCases, truth: PhotoTruth, figures: PhotoFigures, detections: Sequence[Detection]
) -> None:
    """Scores a photograph by the share of its published names that are right."""
    published = [d for d in detections if d.scores.probability >= figures.published]
    right = [truth.present[figures.names.index(d.label)] == 1 for d in published]
    share = float(np.mean(right)) if right else float("nan")
    ids = {label: number for number, label in enumerate(sorted({d.label for d in published}), 1)}
    panels = [
        truth.photo.image,
        tinted(truth.photo.image, truth.photo.numbers.astype(np.int64) - 1),
        overlay(truth.photo.image, published, ids, scores=True),
    ]
    worst.add(share, f"{truth.photo.key}: {sum(right)} of {len(right)} names right", panels)


def _region_cosines(
    photo: LabelledPhoto, seen: ImageFeatures, prepared: PreparedQueries
) -> NDArray[np.float32]:
    """(regions, names) cosine of each region's mean vector with the names; nan for less than three cells."""
    grid = seen.semantic
    assert grid is not None
    values = grid.unit().values.astype(np.float32)
    cells = nearest(photo.numbers, (values.shape[0], values.shape[1]))
    texts = np.stack([vectors.mean(axis=0) for vectors in prepared.texts])
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    found = np.full((len(photo.regions), len(texts)), np.nan, np.float32)
    for index in range(len(photo.regions)):
        own = values[cells == index + 1]
        if len(own) >= 3:
            mean = own.mean(axis=0)
            found[index] = texts @ (mean / max(float(np.linalg.norm(mean)), 1e-6))
    return found


def _outcome(source: PhotoSet, figures: PhotoFigures, worst: WorstCases) -> Outcome:
    found = figures.figures()
    shown = (*SHOWN, *(NEW if found["new_names"] else ()))
    rows: Sequence[tuple[str, float]] = [(text, found[key]) for text, key in shown]
    best = sorted(found["present_iou_by_name"].items(), key=lambda item: -item[1])
    outcome = Outcome(
        found,
        [
            Table(f"Words on photographs: {source.facts.name}", ("figure", "value"), rows),
            Table("Names", ("name", "IoU where present"), best),
        ],
    )
    sheet = worst.sheet()
    if sheet is not None:
        outcome.images["worst.png"] = sheet
    return outcome
