"""The table that shows which way to find things serves better: heads, words, or exemplars."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from perception_contrast.core.detection import Detection
from perception_contrast.core.errors import PerceptionError, QueryError
from perception_contrast.core.frame import Frame
from perception_contrast.core.vocabulary import Query, Vocabulary
from perception_contrast.heads.head_files import Head, head_path, read_head
from perception_contrast.heads.head_runner import HeadRunner, require_space
from perception_contrast.pipeline.build import build
from perception_contrast.pipeline.image_features import FeatureRequest, ImageFeatures
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.pipeline.pipeline_settings import PipelineSettings
from perception_contrast_training.evaluation.figures import placed
from perception_contrast_training.evaluation.readers.types import Skipped
from perception_contrast_training.evaluation.report import Outcome, Table
from perception_contrast_training.evaluation.tasks.det import LOWEST
from perception_contrast_training.heads.box_figures import BoxFigures, ClassFigures, Report
from perception_contrast_training.heads.few_shot import box_of_thing, chosen_boxes
from perception_contrast_training.heads.head_training import REPORT
from perception_contrast_training.heads.labelled_frames import LabelledData, LabelledFrame, open_labelled

HEADINGS = ("class", "things", "AP50", "precision", "recall")


@dataclass(frozen=True)
class TableRequest:
    """What is to be compared.

    Attributes:
        data: Labelled frames with things.
        heads: Runs of `train head`; the frames that any of them saw are not tested on.
        model: The encoder that the heads were trained on.
        language_model: Of words; "none" leaves words out.
        exemplars: Boxes of each class that are shown; 0 leaves exemplars out.
        limit: Frames to test on at most, 0 for all.
        images: Folder of a COCO file's images.
        device: As ``build`` takes it.
        offline: Download nothing.
        seed: Of the exemplars.
    """

    data: Path
    heads: tuple[Path, ...]
    model: str
    language_model: str = "household-lit"
    exemplars: int = 5
    limit: int = 0
    images: Path | None = None
    device: str = "auto"
    offline: bool = False
    seed: int = 0


@dataclass(frozen=True)
class _Way:
    """A way to find things. find: all of a frame from LOWEST on."""

    name: str
    threshold: float
    find: Callable[[Frame, ImageFeatures], Sequence[Detection]]


@dataclass(frozen=True)
class _Run:
    head: Head
    frames: frozenset[str]


def compare(request: TableRequest, say: Callable[[str], None]) -> Outcome:
    """Finds things in labelled frames that no head saw, in each way.

    Args:
        request: What is to be compared.
        say: Gets a line for each step.

    Raises:
        PerceptionError: The heads and the data do not fit each other.
    """
    runs = [_run(path) for path in request.heads]
    classes = runs[0].head.card.classes
    for run in runs:
        if run.head.card.task != "detection" or set(run.head.card.classes) != set(classes):
            raise PerceptionError(
                f"head '{run.head.name}' is a {run.head.card.task} of {', '.join(run.head.card.classes)}; "
                "compare detection heads of the same classes"
            )
    sizes = {run.head.card.short_side: run.head.name for run in runs}
    if len(sizes) > 1:
        each = ", ".join(f"'{name}' at {size}" for size, name in sizes.items())
        raise PerceptionError(
            f"the heads were trained at different sizes ({each}); compare heads of one size"
        )
    skipped = Skipped()
    data = open_labelled(request.data, "detection", classes, skipped, images=request.images)
    seen = frozenset().union(*(run.frames for run in runs))
    trained_on = [place for place, key in enumerate(data.keys) if key in seen]
    left = [place for place, key in enumerate(data.keys) if key not in seen][: request.limit or None]
    if not left:
        raise PerceptionError(
            f"'{request.data}' has no frame that the heads did not see; train them with --frames, so that "
            "some are left to test on"
        )
    pipeline = build(
        request.model,
        request.language_model,
        device=request.device,
        offline=request.offline,
        background=False,
        settings=PipelineSettings(short_side=runs[0].head.card.short_side),
    )
    try:
        ways = list(_ways(request, runs, pipeline, data, trained_on, say))
        figures = {way.name: BoxFigures(classes, way.threshold) for way in ways}
        needed = FeatureRequest(
            features=True, semantic=request.language_model != "none", instance_cues=True, class_token=True
        )
        for number, place in enumerate(left, 1):
            sample = data.frame(place)
            if sample is None:
                continue
            frame = Frame(sample.image)
            features = pipeline.extract_features(frame, needed)
            for way in ways:
                figures[way.name].add(frame.size, sample.things or (), _reports(way, frame, features))
            if number % 10 == 0 or number == len(left):
                say(f"tested on {number} of {len(left)} frames")
    finally:
        pipeline.close()
    return _outcome(figures, ways, len(left), skipped)


def _run(path: Path) -> _Run:
    file = head_path(path)
    report = file.with_name(REPORT)
    try:
        frames = json.loads(report.read_text("utf-8"))["frames"]
        if not all(isinstance(one, str) for one in frames):
            raise ValueError("'frames' are no names")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PerceptionError(
            f"'{report}' does not say which frames the head saw ({error}); give the run of `train head`"
        ) from error
    return _Run(read_head(file, file.parent.name), frozenset(frames))


def _ways(
    request: TableRequest,
    runs: Sequence[_Run],
    pipeline: Pipeline,
    data: LabelledData,
    trained_on: Sequence[int],
    say: Callable[[str], None],
) -> Iterator[_Way]:
    for run in runs:
        require_space(run.head.card, run.head.name, pipeline.spaces)
        runner = HeadRunner(run.head)
        lowest = np.full(len(runner.card.classes), LOWEST, np.float32)

        def by_head(
            _: Frame, features: ImageFeatures, runner: HeadRunner = runner, lowest: Any = lowest
        ) -> Sequence[Detection]:
            grid = features.semantic if runner.card.source == "language" else features.features
            assert grid is not None
            return runner(grid, None, features.instance_cues, lowest).detections

        yield _Way(f"head {run.head.name}", runner.card.threshold, by_head)
    if request.language_model != "none":
        words = Vocabulary.of([Query(name) for name in data.classes])
        yield _searched(f"words ({request.language_model})", pipeline, words)
    if request.exemplars:
        say(f"showing {request.exemplars} boxes of each class")
        shown = _exemplars(request, pipeline, data, trained_on)
        yield _searched(f"{request.exemplars} exemplars", pipeline, shown)


def _searched(name: str, pipeline: Pipeline, vocabulary: Vocabulary) -> _Way:
    prepared = pipeline.prepare(vocabulary)
    low = replace(pipeline.settings, detection_threshold=LOWEST)
    threshold = pipeline.frame_search.detection_threshold(pipeline.settings, vocabulary)

    def find(frame: Frame, features: ImageFeatures) -> Sequence[Detection]:
        return pipeline.search(frame, features, prepared, low).detections

    return _Way(name, threshold, find)


def _exemplars(
    request: TableRequest, pipeline: Pipeline, data: LabelledData, places: Sequence[int]
) -> Vocabulary:
    """A vocabulary of boxes of the frames that the heads saw."""
    vocabulary = Vocabulary()
    frames: dict[int, tuple[LabelledFrame, ImageFeatures]] = {}
    for shown in chosen_boxes(data, places, request.exemplars, request.seed):
        if shown.place not in frames:
            frame = data.frame(shown.place)
            assert frame is not None
            frames[shown.place] = frame, pipeline.extract_features(Frame(frame.image))
        frame, features = frames[shown.place]
        try:
            exemplar = pipeline.query_encoder.encode_exemplar(features, box=box_of_thing(frame, shown.thing))
        except QueryError as error:
            raise PerceptionError(
                f"a box of '{shown.label}' in '{frame.key}' cannot be shown: {error}"
            ) from error
        vocabulary = vocabulary.with_exemplar(shown.label, exemplar)
    return vocabulary


def _reports(way: _Way, frame: Frame, features: ImageFeatures) -> list[Report]:
    return [
        Report(
            one.label,
            (float(one.box[0]), float(one.box[1]), float(one.box[2]), float(one.box[3])),
            one.scores.probability,
            placed(one, frame.size),
        )
        for one in way.find(frame, features)
    ]


def _outcome(figures: dict[str, BoxFigures], ways: Sequence[_Way], frames: int, skipped: Skipped) -> Outcome:
    rows = []
    content: dict[str, Any] = {"frames": frames, "left_out": skipped.files, "ways": {}}
    tables = []
    for way in ways:
        mean, masks = figures[way.name].mean(), figures[way.name].ap50_of_masks()
        rows.append((way.name, mean.ap50, mean.precision, mean.recall, way.threshold, masks))
        by_class = figures[way.name].by_class()
        content["ways"][way.name] = {
            "mean": _stored(mean) | {"mask_ap50": masks},
            "threshold": way.threshold,
            "classes": {name: _stored(one) for name, one in by_class.items()},
        }
        cells = [(name, one.truths, one.ap50, one.precision, one.recall) for name, one in by_class.items()]
        tables.append(Table(way.name, HEADINGS, cells))
    headings = ("way", "AP50", "precision", "recall", "threshold", "AP50 of masks")
    return Outcome(content, [Table(f"Boxes in {frames} frames that no head saw", headings, rows), *tables])


def _stored(figures: ClassFigures) -> dict[str, float]:
    return {
        "ap50": figures.ap50,
        "precision": figures.precision,
        "recall": figures.recall,
        "things": figures.truths,
    }
