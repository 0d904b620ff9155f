"""One run of `find`: frames in, searched in batches, results on disk frame by frame."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perception_contrast.cli.find.coco_file import RLE, frame_name
from perception_contrast.cli.find.find_journal import FindJournal
from perception_contrast.cli.find.find_sources import FindSource, LostNote, ReadFrame
from perception_contrast.cli.find.find_tracks import SourceTracks
from perception_contrast.cli.find.read_ahead import read_ahead
from perception_contrast.cli.frame_progress import FrameProgress
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.vocabulary import Vocabulary
from perception_contrast.images.files import save_image
from perception_contrast.pipeline.detector.base import Detector, PendingDetections
from perception_contrast.pipeline.detector.detector_result import DetectorResult
from perception_contrast.pipeline.detector.search_options import SearchOptions

OVERLAYS, LABEL_MAPS = "overlays", "label_maps.part"
_WRITERS = 4
_Read = ReadFrame | LostNote


@dataclass(frozen=True)
class FindPlan:
    """What a run searches and writes.

    Attributes:
        folder: Of all results.
        sources: What is searched, in order.
        vocabulary: The queries.
        options: Thresholds.
        formats: Of "json", "coco", "overlay", "mcap".
        coco_masks: "rle" or "polygon".
        track_seconds: How long a thing out of sight keeps its id, in videos and recordings.
        batch: Frames in one pass.
        node: Whose topics the results of recordings are.
        left_out: Files that are no sources because they cannot be read, a line each.
        scores: Write probabilities behind the labels in overlays.
    """

    folder: Path
    sources: tuple[FindSource, ...]
    vocabulary: Vocabulary
    options: SearchOptions
    formats: frozenset[str]
    coco_masks: str = RLE
    track_seconds: float = 2.0
    batch: int = 1
    node: str = "perception_node"
    left_out: tuple[str, ...] = ()
    scores: bool = False

    def overlay_path(self, source: FindSource, index: int) -> Path:
        """Where the overlay of a frame goes."""
        name = f"{Path(source.name).with_suffix('')}.jpg" if source.single else frame_name(source.name, index)
        return self.folder / OVERLAYS / name

    def label_map_path(self, source: FindSource, index: int) -> Path:
        """Where the label map of a recording's frame is kept until its MCAP is written."""
        return self.folder / LABEL_MAPS / Path(frame_name(source.name, index)).with_suffix(".png")

    def keeps_label_maps(self, source: FindSource) -> bool:
        """Whether a frame's label map is kept until the recording is written."""
        return "mcap" in self.formats and source.recorded


@dataclass(frozen=True)
class _Sought:
    """A frame on its way, or the reason why it cannot be read."""

    source: FindSource
    read: ReadFrame
    pending: PendingDetections | None


class FindRun:
    """Searches what the journal has not."""

    def __init__(
        self, plan: FindPlan, detector: Detector, journal: FindJournal, progress: FrameProgress
    ) -> None:
        self._plan, self._detector, self._journal, self._progress = plan, detector, journal, progress
        self._tracks: dict[str, SourceTracks] = {}

    def search(self) -> None:
        """Searches source after source. Raises PerceptionError where results cannot be written."""
        singles: list[FindSource] = []
        with ThreadPoolExecutor(_WRITERS, "results") as pool:
            for source in self._plan.sources:
                if self._journal.of(source.name).ended:
                    continue
                if source.single:
                    singles.append(source)
                    continue
                self._search(singles, pool)
                singles = []
                self._search([source], pool)
            self._search(singles, pool)

    def _search(self, sources: Sequence[FindSource], pool: ThreadPoolExecutor) -> None:
        """Sources whose frames may go together."""
        left = [one for one in sources if not (one.single and self._journal.of(one.name).frames)]
        named = {one.name: one for one in left}
        waiting: list[_Sought] = []
        reading = read_ahead(self._frames(left), 2 * self._plan.batch)
        for batch in _batches(reading, self._plan.batch):
            # The next frames are started before the last ones are waited for, which keeps a GPU busy.
            started = self._started([one for one in batch if isinstance(one, ReadFrame)], named)
            for one in batch:
                if isinstance(one, LostNote) and self._journal.lose(one.source, one.text):
                    self._progress.say(f"lost: {named[one.source].path}: {one.text}")
            self._finish(waiting, pool)
            waiting = started
        self._finish(waiting, pool)
        for source in left:
            if not source.single:
                self._journal.end(source.name)

    def _frames(self, sources: Sequence[FindSource]) -> Iterator[ReadFrame | LostNote]:
        for source in sources:
            done = self._journal.of(source.name)
            start, index = done.frames, done.frames
            if not source.single:
                tracks = SourceTracks(self._plan.track_seconds, tuple(done.tracks))
                self._tracks[source.name] = tracks
                start = min(start, tracks.first) if done.tracks else start
            try:
                for one in source.frames(start):
                    index = one.index + 1 if isinstance(one, ReadFrame) else index
                    yield one
            except PerceptionError as error:
                yield ReadFrame(source.name, index, error=str(error))

    def _started(self, batch: Sequence[ReadFrame], named: dict[str, FindSource]) -> list[_Sought]:
        frames = [one.frame for one in batch if one.frame is not None]
        pending = iter(
            self._detector.submit(frames, self._plan.vocabulary, self._plan.options) if frames else ()
        )
        return [
            _Sought(named[one.source], one, None if one.frame is None else next(pending)) for one in batch
        ]

    def _finish(self, sought: Sequence[_Sought], pool: ThreadPoolExecutor) -> None:
        """Writes images first: a line in the journal says that all of its frame is there."""
        results = [self._result(one) for one in sought]
        new = [
            (one, result)
            for one, result in zip(sought, results, strict=True)
            if one.read.index >= self._journal.of(one.source.name).frames
        ]
        entries = list(pool.map(self._written, *zip(*new, strict=True))) if new else []
        for (one, _), entry in zip(new, entries, strict=True):
            self._journal.add(entry)
            self._progress.step()
            if "error" in entry:
                self._progress.say(f"left out: {_place(one)}: {entry['error']}")

    def _result(self, one: _Sought) -> DetectorResult | PerceptionError:
        if one.pending is None or one.read.frame is None:
            return PerceptionError(one.read.error)
        try:
            result = one.pending.result()
        except PerceptionError as error:
            return error
        if one.source.single:
            return result
        tracks = self._tracks[one.source.name]
        return result.with_detections(tracks.update(one.read.index, one.read.frame, result.detections))

    def _written(self, one: _Sought, result: DetectorResult | PerceptionError) -> dict[str, Any]:
        """The journal's entry of a frame, after its images are written."""
        entry: dict[str, Any] = {"source": one.source.name, "frame": one.read.index}
        if isinstance(result, PerceptionError):
            return {**entry, "error": str(result)}
        plan, index = self._plan, one.read.index
        try:
            if "overlay" in plan.formats:
                result.plot(plan.overlay_path(one.source, index), scores=plan.scores)
            if plan.keeps_label_maps(one.source):
                save_image(plan.label_map_path(one.source, index), result.label_map)
        except OSError as error:
            raise PerceptionError(
                f"'{plan.folder}' cannot be written: {error.strerror or error}; start the same command again "
                "to go on"
            ) from error
        return {**entry, **result.to_dict()}


def without_leftovers(plan: FindPlan) -> None:
    """Deletes what was kept for the time of the run alone."""
    shutil.rmtree(plan.folder / LABEL_MAPS, ignore_errors=True)


def _place(one: _Sought) -> str:
    return str(one.source.path) if one.source.single else f"{one.source.path}, frame {one.read.index}"


def _batches(items: Iterator[_Read], size: int) -> Iterator[list[_Read]]:
    batch: list[_Read] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
