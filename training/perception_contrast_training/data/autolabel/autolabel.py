"""Labels images, videos and recordings by a large model, with what agrees on each label."""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from perception_contrast.cli.find.find_sources import FindSource, LostNote, ReadFrame, find_sources
from perception_contrast.core.arrays import RgbImage
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.frame import Frame
from perception_contrast.core.vocabulary import Vocabulary
from perception_contrast.images.files import load_image, save_image
from perception_contrast.tracking.tracker import Tracker
from perception_contrast_training.data.autolabel.agreement import FLIP, MODEL, TRACK
from perception_contrast_training.data.autolabel.label_journal import (
    SEEN_FILE,
    LabelJournal,
    SeenFrame,
    SeenThing,
)
from perception_contrast_training.data.autolabel.labeller import (
    LabelItem,
    Labelled,
    LabelModels,
    LoadLabeller,
    ModelFacts,
)
from perception_contrast_training.data.autolabel.pseudo_labels import LABELS_FILE, Rules, judged, write_labels
from perception_contrast_training.data.autolabel.review_sheet import REVIEW_FILE, write_review
from perception_contrast_training.evaluation.progress import tracked
from perception_contrast_training.fleet.loaded_work import LoadedWork
from perception_contrast_training.fleet.map_items import Where, joined_to, map_items

FRAMES_FOLDER = "images"  # of videos and recordings, in the output folder


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


def autolabel(options: AutolabelOptions, models: LabelModels, where: Where | None = None) -> Autolabelled:
    """Labels all frames and writes ``labels.json`` and ``review.html``. A stopped run goes on when repeated.

    Workers label; this process reads videos and recordings, tracks, and writes, all in the order of the
    frames. So the files are the same wherever a frame was labelled.

    Args:
        options: What is asked for.
        models: What labels.
        where: A Ray cluster, each of whose workers loads the models; None for this process.

    Raises:
        KeyboardInterrupt: It was interrupted; what was seen is kept.
        PerceptionError: Nothing can be read, or the folder has labels of other settings.
    """
    where = where or Where()
    if (MODEL in options.agree) != bool(models.second):
        raise PerceptionError("the check 'model' and --second go together: name another model to agree")
    found = find_sources(options.paths, options.topic, options.out)
    root = _root_of(found.sources, options.out)
    work = LoadedWork(LoadLabeller(models, options.vocabulary, options.agree, options.threshold))
    with joined_to(where):
        facts: ModelFacts = work.facts(where)
        if options.restart:
            for name in (SEEN_FILE, LABELS_FILE, REVIEW_FILE):
                (options.out / name).unlink(missing_ok=True)
        with LabelJournal(options.out, _settings(options, facts)) as journal:
            frames = _Frames(found.sources, journal, root, track=TRACK in options.agree)
            results = map_items(work, frames.items(), where, ordered=True)
            for _, labelled in tracked(results, "labelling", frames.left()):
                journal.add(frames.seen(_of_the_models(labelled, facts)))
            frames.require_read()
            seen = journal.frames
    return _written(options, facts, root, seen, found.left_out)


def _settings(options: AutolabelOptions, facts: ModelFacts) -> dict[str, Any]:
    queries = [[one.label, *one.phrases] for one in options.vocabulary.queries]
    return {
        "models": facts.models,
        "second": facts.second,
        "queries": queries,
        "distractors": list(options.vocabulary.distractors),
        "agree": list(options.agree),
        "threshold": round(facts.threshold, 6),
    }


def _of_the_models(labelled: Labelled | PerceptionError, facts: ModelFacts) -> Labelled:
    """Raises the error of a frame, or a PerceptionError where a worker has other weights than the first."""
    if isinstance(labelled, PerceptionError):
        raise labelled
    for others, known in zip(labelled.models, (facts.models, facts.second), strict=True):
        for role, one in others.items():
            if one != known.get(role):
                raise PerceptionError(
                    f"the workers have different weights of '{one[0]}' ({one[1]} and {known[role][1]}); give "
                    "all nodes the same, then the same command again: what is finished stays"
                )
    return labelled


def _root_of(sources: Sequence[FindSource], out: Path) -> Path:
    """The folder that files of images are named from. Raises PerceptionError."""
    single = {one.single for one in sources}
    if len(single) > 1:
        raise PerceptionError("label images and videos in two runs: frames of videos are written to --out")
    if single == {True}:
        return Path(os.path.commonpath([one.path.resolve().parent for one in sources]))
    return out.resolve() / FRAMES_FOLDER


@dataclass(frozen=True)
class _Sent:
    """A frame on its way. run: begins the names of its tracks. tracker: of its video, None for none."""

    source: FindSource
    read: ReadFrame | None
    run: str
    tracker: Tracker | None


class _Frames:
    """The frames that are not in the journal yet, as items of work, and what is made of the results."""

    def __init__(
        self, sources: Sequence[FindSource], journal: LabelJournal, root: Path, *, track: bool
    ) -> None:
        self._root, self._track = root, track
        self._done = {one.name: journal.done(one.name) for one in sources}
        self._sources = [one for one in sources if not (one.single and self._done[one.name])]
        self._sent = deque[_Sent]()
        self._failed: PerceptionError | None = None

    def left(self) -> int:
        """How many frames there are, 0 if that is not known."""
        counts = [one.count() for one in self._sources]
        done = sum(self._done[one.name] for one in self._sources)
        return max(0, sum(counts) - done) if all(counts) else 0

    def items(self) -> Iterator[LabelItem]:
        """All of them, source by source. Ends where a source cannot be read further."""
        for source in self._sources:
            run = f"{source.name}/{self._done[source.name]}"
            if source.single:
                self._sent.append(_Sent(source, None, run, None))
                yield LabelItem(source)
                continue
            # Tracks begin anew where a run goes on, so they have names of their own.
            tracker = Tracker(numbers=itertools.count(1)) if self._track else None
            try:
                for read in source.frames(self._done[source.name]):
                    if not isinstance(read, LostNote):
                        self._sent.append(_Sent(source, read, run, tracker))
                        yield LabelItem(source, read)
            except PerceptionError as error:
                # What is on its way is labelled and kept before this is told.
                self._failed = error
                return

    def require_read(self) -> None:
        """Raises the PerceptionError of a source that could not be read to its end."""
        if self._failed is not None:
            raise self._failed

    def seen(self, labelled: Labelled) -> SeenFrame:
        """The next frame as the journal has it. A video's is written to the images' folder."""
        one = self._sent.popleft()
        index = 0 if one.read is None else one.read.index
        if labelled.error:
            return SeenFrame(one.source.name, index, "", (0, 0), error=labelled.error)
        if one.read is None:
            file = one.source.path.resolve().relative_to(self._root).as_posix()
            return SeenFrame(one.source.name, index, file, labelled.size, labelled.things)
        assert one.read.frame is not None
        file = f"{one.source.name.replace('/', '_')}_{index:06d}.jpg"
        if not (self._root / file).is_file():
            save_image(self._root / file, one.read.frame.image)
        things = _followed(labelled, one.read.frame, one)
        return SeenFrame(one.source.name, index, file, labelled.size, things)


def _followed(labelled: Labelled, frame: Frame, sent: _Sent) -> tuple[SeenThing, ...]:
    """The things of a frame with their tracks."""
    if sent.tracker is None:
        return labelled.things
    found = sent.tracker.update(labelled.detections, frame.image, frame.stamp)
    return tuple(
        replace(thing, track=f"{sent.run}/{one.track_id}" if one.track_id else "")
        for thing, one in zip(labelled.things, found, strict=True)
    )


def _written(
    options: AutolabelOptions,
    facts: ModelFacts,
    root: Path,
    frames: Sequence[SeenFrame],
    left_out: Sequence[str],
) -> Autolabelled:
    if not any(not one.error for one in frames):
        raise PerceptionError("no frame could be read; nothing was labelled")
    rules = Rules(facts.threshold, options.agree)
    found = judged(frames, rules)
    model, space = facts.models["semantic"]
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
