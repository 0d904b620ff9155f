"""What a run of `find` writes once every frame is searched: COCO, recordings with our topics, a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from perception_contrast.cli.find.coco_file import write_coco
from perception_contrast.cli.find.find_journal import FindJournal
from perception_contrast.cli.find.find_run import FindPlan
from perception_contrast.cli.find.find_sources import FindSource, Recording
from perception_contrast.cli.find.result_bag import BagResults, read_label_map, write_result_bag
from perception_contrast.cli.frame_progress import FrameProgress
from perception_contrast.core.errors import PerceptionError
from perception_contrast.images.file_listing import printable
from perception_contrast.pipeline.detector.base import Detector
from perception_contrast.recordings.bags import BagSource

COCO, BAGS = "coco.json", "bags"
_NAMED = 1000  # things that could not be read, of those that the report names


def write_outputs(
    plan: FindPlan, journal: FindJournal, detector: Detector, progress: FrameProgress
) -> tuple[str, ...]:
    """Writes what needs all results. Gives what could not be written, a line each."""
    failed: list[str] = []
    if "coco" in plan.formats:
        singles = {one.name: one.single for one in plan.sources}
        entries = (entry for entry in journal.entries() if entry["source"] in singles)
        write_coco(plan.folder / COCO, entries, plan.vocabulary.ids, singles, plan.coco_masks)
    if "mcap" in plan.formats:
        for source in plan.sources:
            if isinstance(source, Recording) and not (plan.folder / BAGS / source.name).exists():
                try:
                    _write_bag(plan, source, journal, detector, progress)
                except PerceptionError as error:
                    failed.append(str(error))
                    progress.say(f"not written: {error}")
    return tuple(failed)


def _write_bag(
    plan: FindPlan, source: Recording, journal: FindJournal, detector: Detector, progress: FrameProgress
) -> None:
    target = plan.folder / BAGS / source.name
    recording = BagSource(source.path)
    progress.say(f"writing {target}")
    threshold = plan.options.threshold or detector.detection_threshold
    results = BagResults(
        image_topic=source.image_topic(recording),
        entries=_of(source.name, journal),
        label_map=partial(_label_map, plan, source),
        vocabulary=plan.vocabulary,
        model=detector.models["semantic"],
        threshold=threshold,
        node=plan.node,
    )
    left_out = write_result_bag(recording, target, results)
    if left_out:
        progress.say(f"{target} lacks {', '.join(left_out)}: nobody defines the types of these topics")


def _of(source: str, journal: FindJournal) -> Iterator[Mapping[str, Any]]:
    return (entry for entry in journal.entries() if entry["source"] == source)


def _label_map(plan: FindPlan, source: FindSource, index: int) -> Any:
    return read_label_map(plan.label_map_path(source, index))


def report_of(
    plan: FindPlan, journal: FindJournal, detector: Detector, failed: tuple[str, ...]
) -> dict[str, Any]:
    """What ``find.json`` says of a finished run: counts of everything, and lists of bounded length."""
    found: Counter[str] = Counter()
    unreadable = [printable(line) for line in plan.left_out]
    searched = 0
    sources = {one.name: one for one in plan.sources}
    for entry in journal.entries():
        if "error" in entry:
            unreadable.append(f"{_place(entry, sources.get(entry['source']))}: {entry['error']}")
        else:
            searched += 1
            found.update(one["label"] for one in entry["detections"])
    lost = [
        f"{printable(str(one.path))}: {note}" for one in plan.sources for note in journal.of(one.name).lost
    ]
    labels = plan.vocabulary.labels
    return {
        "frames": searched,
        "detections": {label: found[label] for label in labels},
        "unreadable": unreadable[:_NAMED],
        "unreadable_count": len(unreadable),
        "lost": lost[:_NAMED],
        "lost_count": len(lost),
        "not_written": list(failed),
        "models": {role: space for role, (_, space) in detector.models.items()},
        "sources": {name: printable(str(one.path)) for name, one in sources.items()},
    }


def _place(entry: Mapping[str, Any], source: FindSource | None) -> str:
    """A file, or the number of a frame in one; the name of a source that this command did not give."""
    if source is None:
        return str(entry["source"])
    path = printable(str(source.path))
    return path if source.single else f"{path}, frame {entry['frame']}"
