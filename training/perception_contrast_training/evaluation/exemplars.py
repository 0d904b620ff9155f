"""Exemplar queries on a recording: one box of a class is shown and asked for in all other labelled frames."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.box_iou import box_iou
from perception_contrast.core.detection import Detection
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.frame import Frame
from perception_contrast.core.vocabulary import Exemplar, Vocabulary
from perception_contrast.pipeline.image_features import ImageFeatures
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.recordings.bags import BagSource
from perception_contrast.visualization.overlay import overlay
from perception_contrast_training.evaluation.figures import PrecisionRecall
from perception_contrast_training.evaluation.readers.types import Skipped

LEAST_OVERLAP = 0.3  # of a detection's box and a true box
ALL = "all"  # row over all classes
TRUTH = (255, 255, 255)
Boxes = NDArray[np.float64]


@dataclass(frozen=True)
class TrueBox:
    """box: (x0, y0, x1, y1) pixels, edges. hard: counts in ``recall_with_hard`` alone, else neither way."""

    label: str
    box: tuple[float, float, float, float]
    hard: bool = False


@dataclass(frozen=True)
class LabelledFrame:
    """A frame of a recording, its number there from 0 on, and all boxes of all classes in it."""

    index: int
    frame: Frame
    boxes: tuple[TrueBox, ...]

    def of(self, label: str) -> tuple[TrueBox, ...]:
        """The boxes of one class."""
        return tuple(box for box in self.boxes if box.label == label)


@dataclass(frozen=True)
class BoxedRecording:
    """frames: those with labels, in order. names: all classes, also those that no frame shows.

    lost: what of the recording could not be read, a line for each.
    """

    frames: tuple[LabelledFrame, ...]
    names: tuple[str, ...]
    lost: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answer:
    """What was found when one class was asked for in one frame."""

    label: str
    frame: LabelledFrame
    detections: tuple[Detection, ...]


# Reading.


def read_boxes(
    file: Path, recording: Path, topic: str | None = None, skipped: Skipped | None = None
) -> BoxedRecording:
    """Boxes of a COCO JSON with the frames that they were drawn on.

    Its images name ``frame_index`` (among all images of the topic, readable or not), ``stamp`` (ns),
    ``width`` and ``height``; annotations have ``bbox`` (x, y, width, height) and may have the attribute
    ``hard``. topic: that of the file's ``info`` if it is None. skipped: notes frames that cannot be read.
    Raises PerceptionError for files that do not say so, and for another recording's boxes.
    """
    stored = _stored(file)
    try:
        names = {entry["id"]: str(entry["name"]) for entry in stored["categories"]}
        boxes: dict[Any, list[TrueBox]] = {image["id"]: [] for image in stored["images"]}
        for note in stored["annotations"]:
            boxes[note["image_id"]].append(_true_box(note, names))
        images = {int(image["frame_index"]): image for image in stored["images"]}
        source, named = BagSource(recording), topic or stored.get("info", {}).get("topic")
        frames = _frames_of(source, named, images, file, Skipped() if skipped is None else skipped)
        labelled = [LabelledFrame(i, frames[i], tuple(boxes[images[i]["id"]])) for i in sorted(frames)]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise PerceptionError(f"annotations '{file}' lack or misstate {error}; export them again") from error
    return BoxedRecording(tuple(labelled), tuple(names.values()), source.lost)


def _stored(file: Path) -> dict[str, Any]:
    try:
        stored = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise PerceptionError(f"annotations '{file}' cannot be read: {error}") from error
    for key in ("images", "annotations", "categories"):
        if not isinstance(stored, dict) or not isinstance(stored.get(key), list):
            raise PerceptionError(f"annotations '{file}' have no list '{key}'; a COCO file has one")
    return dict(stored)


def _true_box(note: Mapping[str, Any], names: Mapping[Any, str]) -> TrueBox:
    x, y, width, height = (float(value) for value in note["bbox"])
    hard = bool(note.get("iscrowd", 0)) or bool(note.get("attributes", {}).get("hard", False))
    return TrueBox(names[note["category_id"]], (x, y, x + width, y + height), hard)


def _frames_of(
    recording: BagSource,
    topic: str | None,
    images: Mapping[int, Mapping[str, Any]],
    file: Path,
    skipped: Skipped,
) -> dict[int, Frame]:
    found: dict[int, Frame] = {}
    refused: set[int] = set()
    for index, frame in recording.numbered_frames(topic):
        if index not in images:
            continue
        if not isinstance(frame, Frame):
            skipped.note(f"image {index}", frame)
            refused.add(index)
            continue
        image = images[index]
        stated = int(image["stamp"]), (int(image["height"]), int(image["width"]))
        if stated != (frame.stamp, frame.size):
            raise PerceptionError(
                f"frame {index} of '{recording.path}' has another stamp or size than '{file}' says; "
                "give the recording and the topic that were annotated"
            )
        found[index] = frame
    missing = sorted(set(images) - set(found) - refused)
    if missing:
        raise PerceptionError(f"'{recording.path}' has no frame {missing[0]}, which '{file}' has boxes for")
    return found


# Asking.


def shown_box(frames: Sequence[LabelledFrame], label: str) -> tuple[LabelledFrame, TrueBox] | None:
    """What is shown of a class: of the first frame with a box that is not hard, the largest.

    One that lies whole in the image goes before one that the edge cuts. None for a class without any.
    """
    for frame in frames:
        fit = [box for box in frame.of(label) if not box.hard]
        if fit:
            return frame, max(fit, key=lambda box: (_is_whole(box, frame.frame.size), _area(box)))
    return None


def _is_whole(box: TrueBox, size: tuple[int, int]) -> bool:
    x0, y0, x1, y1 = box.box
    return x0 > 0 and y0 > 0 and x1 < size[1] and y1 < size[0]


def _area(box: TrueBox) -> float:
    x0, y0, x1, y1 = box.box
    return (x1 - x0) * (y1 - y0)


def ask(pipeline: Pipeline, data: BoxedRecording) -> list[Answer]:
    """Every class, each asked for alone, in every labelled frame but the one that showed it.

    Raises PerceptionError if no class has a box to show.
    """
    seen = [(frame, pipeline.extract_features(frame.frame)) for frame in data.frames]
    answers: list[Answer] = []
    shown = _show(pipeline, seen, data.names)
    if not shown:
        raise PerceptionError("no class has a box that can be shown; nothing was measured")
    for label, (exemplar, source) in shown.items():
        prepared = pipeline.prepare(Vocabulary().with_exemplar(label, exemplar))
        for frame, features in seen:
            if frame.index != source:
                found = pipeline.search(frame.frame, features, prepared).detections
                answers.append(Answer(label, frame, tuple(found)))
    return answers


def _show(
    pipeline: Pipeline, seen: Sequence[tuple[LabelledFrame, ImageFeatures]], names: Sequence[str]
) -> dict[str, tuple[Exemplar, int]]:
    """Class to its exemplar and the number of the frame that showed it."""
    shown: dict[str, tuple[Exemplar, int]] = {}
    features = {frame.index: one for frame, one in seen}
    for label in names:
        choice = shown_box([frame for frame, _ in seen], label)
        if choice is not None:
            frame, truth = choice
            shown[label] = (
                pipeline.query_encoder.encode_exemplar(features[frame.index], box=truth.box),
                frame.index,
            )
    return shown


# Matching.


def box_overlaps(detections: Sequence[Detection], truths: Sequence[TrueBox]) -> Boxes:
    """(detections, truths) intersection over union of boxes."""
    return box_iou(_corners([d.box for d in detections]), _corners([t.box for t in truths]))


def centres_inside(detections: Sequence[Detection], truths: Sequence[TrueBox]) -> Boxes:
    """(detections, truths) 1 + IoU where a detection's centre lies in a true box, else 0."""
    found, true = _corners([d.box for d in detections]), _corners([t.box for t in truths])
    centres = ((found[:, :2] + found[:, 2:]) / 2)[:, None]
    inside = ((centres >= true[None, :, :2]) & (centres < true[None, :, 2:])).all(axis=-1)
    return np.where(inside, 1.0 + box_overlaps(detections, truths), 0.0)


def _corners(boxes: Sequence[tuple[float, float, float, float]]) -> Boxes:
    return np.asarray(boxes, np.float64).reshape(-1, 4)


# Figures.


@dataclass
class Presence:
    """How often "is there one?" was answered rightly; frames with nothing but hard boxes are not asked."""

    present: list[bool] = field(default_factory=list)
    absent: list[bool] = field(default_factory=list)

    def add(self, truths: Sequence[TrueBox], found: bool) -> None:
        """One frame: its boxes of the class, and whether anything was found."""
        if not truths:
            self.absent.append(not found)
        elif not all(truth.hard for truth in truths):
            self.present.append(found)

    def figures(self) -> dict[str, float]:
        """Shares of the answers that were right: of all, where it is there, where it is not."""
        return {
            "presence": _share(self.present + self.absent),
            "presence_where_present": _share(self.present),
            "presence_where_absent": _share(self.absent),
        }


@dataclass
class ClassFigures:
    """Gathers the answers about one class, or about all of them."""

    overlap: PrecisionRecall = field(default_factory=PrecisionRecall)
    with_hard: PrecisionRecall = field(default_factory=PrecisionRecall)
    centre: PrecisionRecall = field(default_factory=PrecisionRecall)
    presence: Presence = field(default_factory=Presence)

    def add(self, answer: Answer) -> None:
        """One class in one frame."""
        truths, found = answer.frame.of(answer.label), answer.detections
        scores = [d.scores.probability for d in found]
        overlaps, hard = box_overlaps(found, truths), [truth.hard for truth in truths]
        self.overlap.add(scores, overlaps, hard, LEAST_OVERLAP)
        self.with_hard.add(scores, overlaps, [False] * len(truths), LEAST_OVERLAP)
        self.centre.add(scores, centres_inside(found, truths), hard, 1.0)
        self.presence.add(truths, bool(found))

    def figures(self) -> dict[str, float | int]:
        """Shares in 0 to 1, nan where there is nothing to take a share of; counts of boxes and reports."""
        return {
            "precision": _share(self.overlap.correct),
            "recall": _recall(self.overlap),
            "recall_with_hard": _recall(self.with_hard),
            "centre_precision": _share(self.centre.correct),
            "centre_recall": _recall(self.centre),
            **self.presence.figures(),
            "boxes": self.overlap.truths,
            "hard_boxes": self.with_hard.truths - self.overlap.truths,
            "reports": len(self.with_hard.correct),
        }


def figures_of(answers: Iterable[Answer]) -> dict[str, dict[str, float | int]]:
    """Class to figures, and "all" for every box and every answer counted alike."""
    gathered: dict[str, ClassFigures] = {}
    for answer in answers:
        for name in (answer.label, ALL):
            gathered.setdefault(name, ClassFigures()).add(answer)
    ordered = [name for name in gathered if name != ALL]
    return {name: gathered[name].figures() for name in [*sorted(ordered), ALL] if name in gathered}


def _share(right: Sequence[bool]) -> float:
    return float(np.mean(right)) if right else float("nan")


def _recall(figures: PrecisionRecall) -> float:
    return sum(figures.correct) / figures.truths if figures.truths else float("nan")


# Showing.


HEADINGS = (
    "class",
    "P",
    "R",
    "R with hard",
    "centre P",
    "centre R",
    "presence",
    "present",
    "absent",
    "boxes",
)
KEYS = (
    "precision",
    "recall",
    "recall_with_hard",
    "centre_precision",
    "centre_recall",
    "presence",
    "presence_where_present",
    "presence_where_absent",
    "boxes",
)


def rows_of(figures: Mapping[str, Mapping[str, float | int]]) -> list[tuple[str | float | int, ...]]:
    """A row for each class under ``HEADINGS``."""
    return [(name, *(one[key] for key in KEYS)) for name, one in figures.items()]


def overlays_of(answers: Sequence[Answer], names: Sequence[str]) -> dict[str, NDArray[np.uint8]]:
    """What was found in each frame, with the true boxes in white; file name to (H, W, 3) RGB."""
    ids = {name: number for number, name in enumerate(names, 1)}
    by_frame: dict[int, list[Answer]] = {}
    for answer in answers:
        by_frame.setdefault(answer.frame.index, []).append(answer)
    return {f"exemplars_{index:05d}.png": _overlay(by_frame[index], ids) for index in sorted(by_frame)}


def _overlay(answers: Sequence[Answer], ids: dict[str, int]) -> NDArray[np.uint8]:
    """All answers about one frame."""
    frame = answers[0].frame
    detections = [found for answer in answers for found in answer.detections]
    image = overlay(frame.frame.image, detections, ids, scores=True)
    for truth in (truth for answer in answers for truth in frame.of(answer.label)):
        x0, y0, x1, y1 = (round(value) for value in truth.box)
        cv2.rectangle(image, (x0, y0), (x1 - 1, y1 - 1), TRUTH, 1)
    return image
