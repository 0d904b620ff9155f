"""Tracking by words: do the pipeline's track ids stay with their things?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.box_iou import box_iou
from perception_contrast.core.detection import Detection
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.frame import Frame
from perception_contrast.core.vocabulary import Vocabulary
from perception_contrast.pipeline.output_request import OutputRequest
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast_training.cli.eval_options import (
    Job,
    household_of,
    labels_of,
    matched,
    pipeline_of,
    vocabulary_for,
)
from perception_contrast_training.evaluation.figures import iou, placed
from perception_contrast_training.evaluation.metrics.tracking import LEAST_OVERLAP, TrackFigures
from perception_contrast_training.evaluation.progress import tracked
from perception_contrast_training.evaluation.readers.coco import CocoSet, boxes_of
from perception_contrast_training.evaluation.readers.mot import MotFolder, is_mot
from perception_contrast_training.evaluation.readers.types import ThingsImage
from perception_contrast_training.evaluation.report import Outcome, Table

NO_IDS = (
    "the pipeline gave no track ids, so no identity could be followed: every detection counts as a track of "
    "its own, and MOTA, IDF1, HOTA and switches are those of detections without any tracker"
)
HEADINGS = ("sequence", "MOTA", "IDF1", "HOTA", "switches", "fragments", "found", "missed", "false")
KEYS = ("mota", "idf1", "hota", "id_switches", "fragments", "found", "missed", "false")


@dataclass(frozen=True)
class _Sequence:
    """frames: in order. period: seconds from one to the next. boxes: compare by boxes, not by masks."""

    name: str
    frames: Iterable[ThingsImage]
    count: int
    period: float
    boxes: bool = False


@dataclass
class _Followed:
    figures: dict[str, Any]
    detections: int
    with_ids: int


def track(job: Job) -> Outcome:
    """Every sequence from its first frame to its last, frame by frame as a camera gives them.

    Raises PerceptionError, among others for data without identities.
    """
    pipeline = pipeline_of(job)
    with _sequences(job) as (vocabulary, sequences):
        pipeline.set_queries(vocabulary.queries, vocabulary.distractors)
        followed = {one.name: _follow(pipeline, one) for one in sequences}
    return _outcome(followed)


def _follow(pipeline: Pipeline, sequence: _Sequence) -> _Followed:
    figures, with_ids, total = TrackFigures(), 0, 0
    for number, sample in enumerate(tracked(sequence.frames, f"following {sequence.name}", sequence.count)):
        frame = Frame(sample.image, stamp=round(number * sequence.period * 1e9))
        detections = pipeline.process(frame, OutputRequest(detections=True)).detections or ()
        total += len(detections)
        with_ids += sum(bool(d.track_id) for d in detections)
        # Without an id a detection is nobody that was seen before.
        ids = [d.track_id or f"{number}:{index}" for index, d in enumerate(detections)]
        overlaps = _overlaps(sample, detections, boxes=sequence.boxes)
        _require_once(sample)
        # Of a thing whose identity is not known nobody can say whether it kept it.
        ignored = [thing.ignored or not thing.track for thing in sample.things]
        figures.add([thing.track for thing in sample.things], ids, overlaps, ignored)
    return _Followed(figures.summary(), total, with_ids)


def _require_once(sample: ThingsImage) -> None:
    tracks = Counter(thing.track for thing in sample.things if thing.track and not thing.ignored)
    for name, count in tracks.items():
        if count > 1:
            raise PerceptionError(
                f"'{sample.name}' shows track {name} {count} times; each thing needs a number of its own"
            )


def _overlaps(sample: ThingsImage, detections: Sequence[Detection], *, boxes: bool) -> NDArray[np.float64]:
    """(things, detections) overlap of masks or boxes, 0 where the names differ; ignored things take any."""
    size = (sample.image.shape[0], sample.image.shape[1])
    found = [placed(detection, size) for detection in detections]
    if boxes:
        table = box_iou(
            boxes_of([t.mask for t in sample.things]).reshape(-1, 4),
            np.array([d.box for d in detections], float).reshape(-1, 4),
        )
    else:
        table = np.array([[iou(thing.mask, mask) for mask in found] for thing in sample.things], float)
    fits = [[d.label in thing.names or thing.ignored for d in detections] for thing in sample.things]
    shape = (len(sample.things), len(detections))
    return np.asarray(table.reshape(shape) * np.array(fits, float).reshape(shape), np.float64)


@contextmanager
def _sequences(job: Job) -> Iterator[tuple[Vocabulary, list[_Sequence]]]:
    """What is asked for, and the sequences of the data."""
    options, vocabulary = job.options, vocabulary_for(job.options)
    household = household_of(options)
    path = Path(options.data)
    if household is not None:
        from perception_contrast_training.evaluation.readers.household import HouseholdCamera

        camera = HouseholdCamera(household, household.scenes, options.rate)
        try:
            asked = matched(vocabulary, camera.names)
            yield asked, [_Sequence(f"household {options.seed}", camera, len(camera), camera.period)]
        finally:
            camera.close()
    elif path.is_dir() and is_mot(path):
        if vocabulary is None:
            raise PerceptionError(f"'{path}' has no names; give the classes of its gt.txt with --vocabulary")
        folder = MotFolder(path, labels_of(vocabulary), job.skipped, options.limit)
        yield vocabulary, [_Sequence(path.name, folder, len(folder), 1 / options.rate, boxes=True)]
    elif path.suffix == ".json":
        coco = CocoSet(path, options.images, job.skipped, options.limit)
        if not coco.has_tracks:
            raise PerceptionError(
                f"annotations '{path}' have neither 'track_id' nor 'instance_id', so who is who is not known"
            )
        yield matched(vocabulary, coco.names), list(_videos(coco, 1 / options.rate))
    else:
        raise PerceptionError(
            f"'{path}' has no identities to compare with; for track give household, a MOTChallenge folder "
            "(img1/ and gt/gt.txt) or a COCO JSON with track ids"
        )


def _videos(coco: CocoSet, period: float) -> Iterator[_Sequence]:
    for video in coco.videos:
        count = sum(entry.video == video for entry in coco.entries)
        yield _Sequence(video or "all images", coco.video(video), count, period)


def _outcome(followed: dict[str, _Followed]) -> Outcome:
    if not any(one.figures["found"] + one.figures["missed"] for one in followed.values()):
        raise PerceptionError("no frame shows a thing that counts; nothing was measured")
    rows = [(name, *(one.figures[key] for key in KEYS)) for name, one in followed.items()]
    detections = sum(one.detections for one in followed.values())
    with_ids = sum(one.with_ids for one in followed.values())
    figures = {
        "track_ids": with_ids > 0,
        "detections": detections,
        "detections_with_ids": with_ids,
        "least_overlap": LEAST_OVERLAP,
        "sequences": {name: one.figures for name, one in followed.items()},
    }
    outcome = Outcome(figures, [Table("Tracking by words", HEADINGS, rows)])
    if not with_ids:
        outcome.notes.append(NO_IDS)
    elif with_ids < detections:
        outcome.notes.append(f"{detections - with_ids} of {detections} detections had no track id")
    return outcome
