"""Labels images, videos and recordings by a large model, with what agrees on each label."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from perception_contrast.cli.find.find_sources import FindSource, LostNote, ReadFrame, find_sources
from perception_contrast.core.arrays import RgbImage
from perception_contrast.core.detection import Detection
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.frame import Frame
from perception_contrast.core.vocabulary import Vocabulary
from perception_contrast.images.files import load_image, save_image
from perception_contrast.images.run_length import encode_mask
from perception_contrast.pipeline.detector.base import Detector
from perception_contrast.tracking.tracker import Tracker
from perception_contrast_training.data.autolabel.agreement import (
    FLIP,
    MODEL,
    SCALE,
    TRACK,
    Check,
    agreement,
    mirrored,
    searched,
    smaller,
)
from perception_contrast_training.data.autolabel.label_journal import (
    SEEN_FILE,
    LabelJournal,
    SeenFrame,
    SeenThing,
)
from perception_contrast_training.data.autolabel.pseudo_labels import LABELS_FILE, Rules, judged, write_labels
from perception_contrast_training.data.autolabel.review_sheet import REVIEW_FILE, write_review
from perception_contrast_training.evaluation.progress import tracked

FRAMES_FOLDER = "images"  # of videos and recordings, in the output folder
_LOOKED_AT = 0.5  # of the threshold: what is less probable is not even reviewed


@dataclass(frozen=True)
class AutolabelOptions:
    """What is asked for.

    Attributes:
        paths: Images, folders, videos, recordings.
        out: The output folder.
        vocabulary: What is looked for.
        agree: Checks that every label must pass, of ``agreement.CHECKS``.
        threshold: Least probability of a label; None takes the model's own.
        review: Things on the review sheet.
        topic: The image topic of recordings.
        restart: Replaces what an earlier run wrote there.
    """

    paths: tuple[Path, ...]
    out: Path
    vocabulary: Vocabulary
    agree: tuple[str, ...] = (FLIP,)
    threshold: float | None = None
    review: int = 200
    topic: str | None = None
    restart: bool = False


@dataclass(frozen=True)
class Autolabelled:
    """labels, frames: how many. left_out: reason to count. unreadable: frames that could not be read."""

    file: Path
    labels: int
    frames: int
    left_out: Mapping[str, int]
    unreadable: tuple[str, ...]


def autolabel(options: AutolabelOptions, detector: Detector, second: Detector | None = None) -> Autolabelled:
    """Labels all frames and writes ``labels.json`` and ``review.html``. A stopped run goes on when repeated.

    Args:
        options: What is asked for.
        detector: The large model.
        second: Another one, for the check ``model``.

    Raises:
        KeyboardInterrupt: It was interrupted; what was seen is kept.
        PerceptionError: Nothing can be read, or the folder has labels of other settings.
    """
    if (MODEL in options.agree) != (second is not None):
        raise PerceptionError("the check 'model' and --second go together: name another model to agree")
    found = find_sources(options.paths, options.topic, options.out)
    root = _root_of(found.sources, options.out)
    threshold = options.threshold or detector.detection_threshold
    rules = Rules(threshold, options.agree)
    if options.restart:
        for name in (SEEN_FILE, LABELS_FILE, REVIEW_FILE):
            (options.out / name).unlink(missing_ok=True)
    with LabelJournal(options.out, _settings(options, detector, second, threshold)) as journal:
        labeller = _Labeller(detector, second, options, rules, root)
        for source in found.sources:
            labeller.label(source, journal)
        return _written(options, detector, rules, root, journal.frames, found.left_out)


def _settings(
    options: AutolabelOptions, detector: Detector, second: Detector | None, threshold: float
) -> dict[str, Any]:
    queries = [[one.label, *one.phrases] for one in options.vocabulary.queries]
    return {
        "models": {role: list(one) for role, one in detector.models.items()},
        "second": {} if second is None else {role: list(one) for role, one in second.models.items()},
        "queries": queries,
        "distractors": list(options.vocabulary.distractors),
        "agree": list(options.agree),
        "threshold": round(threshold, 6),
    }


def _root_of(sources: Sequence[FindSource], out: Path) -> Path:
    """The folder that files of images are named from. Raises PerceptionError."""
    single = {one.single for one in sources}
    if len(single) > 1:
        raise PerceptionError("label images and videos in two runs: frames of videos are written to --out")
    if single == {True}:
        return Path(os.path.commonpath([one.path.resolve().parent for one in sources]))
    return out.resolve() / FRAMES_FOLDER


class _Labeller:
    def __init__(
        self, detector: Detector, second: Detector | None, options: AutolabelOptions, rules: Rules, root: Path
    ) -> None:
        self._root, self._rules, self._track = root, rules, TRACK in options.agree
        least = max(0.01, _LOOKED_AT * rules.threshold)
        self._find = searched(detector, options.vocabulary, least)
        again = searched(detector, options.vocabulary, rules.least)
        self._checks: dict[str, Check] = {}
        if FLIP in options.agree:
            self._checks[FLIP] = mirrored(again)
        if SCALE in options.agree:
            self._checks[SCALE] = smaller(again)
        if second is not None:
            self._checks[MODEL] = searched(second, options.vocabulary, rules.least)

    def label(self, source: FindSource, journal: LabelJournal) -> None:
        """The frames of a source that are not in the journal yet."""
        done, count = journal.done(source.name), source.count()
        if source.single and done:
            return
        # Tracks begin anew where a run goes on, so they have names of their own.
        tracker = None if source.single or not self._track else Tracker(numbers=itertools.count(1))
        reads = (one for one in source.frames(done) if not isinstance(one, LostNote))
        shown: Iterable[ReadFrame] = (
            reads if source.single else tracked(reads, source.name, max(0, count - done))
        )
        for read in shown:
            journal.add(self._seen(source, read, tracker, f"{source.name}/{done}"))

    def _seen(self, source: FindSource, read: ReadFrame, tracker: Tracker | None, run: str) -> SeenFrame:
        if read.frame is None:
            return SeenFrame(source.name, read.index, "", (0, 0), error=read.error)
        frame = read.frame
        found = self._find(frame)
        if tracker is not None:
            found = tracker.update(found, frame.image, frame.stamp)
        checks = {name: check(frame) for name, check in self._checks.items()} if found else {}
        size = (int(frame.image.shape[0]), int(frame.image.shape[1]))
        things = tuple(_thing(one, checks, size, run) for one in found)
        return SeenFrame(source.name, read.index, self._file(source, read.index, frame), size, things)

    def _file(self, source: FindSource, index: int, frame: Frame) -> str:
        if source.single:
            return source.path.resolve().relative_to(self._root).as_posix()
        name = f"{source.name.replace('/', '_')}_{index:06d}.jpg"
        path = self._root / name
        if not path.is_file():
            save_image(path, frame.image)
        return name


def _thing(
    one: Detection, checks: Mapping[str, Sequence[Detection]], size: tuple[int, int], run: str
) -> SeenThing:
    return SeenThing(
        one.label,
        one.scores.probability,
        one.box,
        dict(encode_mask(one.mask, size, one.box[:2])),
        {name: agreement(one, others) for name, others in checks.items()},
        f"{run}/{one.track_id}" if one.track_id else "",
    )


def _written(
    options: AutolabelOptions,
    detector: Detector,
    rules: Rules,
    root: Path,
    frames: Sequence[SeenFrame],
    left_out: Sequence[str],
) -> Autolabelled:
    if not any(not one.error for one in frames):
        raise PerceptionError("no frame could be read; nothing was labelled")
    found = judged(frames, rules)
    model, space = detector.models["semantic"]
    names = [one.label for one in options.vocabulary.queries]
    about = {"model": model, "space": space, "images": str(root), "rules": asdict(rules)}
    path = options.out / LABELS_FILE
    count = write_labels(path, frames, found, names, about)

    def read(one: Any) -> RgbImage:
        return load_image(root / one.frame.file)

    title = f"Labels of {model} for {', '.join(names[:8])}"
    write_review(options.out / REVIEW_FILE, found, replace(rules), read, options.review, title)
    reasons: dict[str, int] = {}
    for one in found:
        if one.doubt:
            reasons[one.doubt] = reasons.get(one.doubt, 0) + 1
    unreadable = [f"{one.source} {one.index}: {one.error}" for one in frames if one.error]
    return Autolabelled(path, count, len(frames) - len(unreadable), reasons, (*left_out, *unreadable))
