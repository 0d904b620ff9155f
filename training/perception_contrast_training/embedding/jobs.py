"""One item of work of an embedding: some parts of a source, or all of a source that is read in sequence."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from typing import Any

from numpy.typing import NDArray

from perception_contrast.core.feature_grid import FeatureGrid
from perception_contrast_training.embedding.encoders import FrameEncoder, frame_encoder
from perception_contrast_training.embedding.frame_items import EmbedSource, FrameItem
from perception_contrast_training.embedding.parts import (
    PartFacts,
    part_name,
    part_table,
    read_facts,
    write_part,
)
from perception_contrast_training.embedding.patch_store import PatchStore, array_name
from perception_contrast_training.embedding.settings import CHUNK_FRAMES, EmbedSettings
from perception_contrast_training.fleet.map_items import Report
from perception_contrast_training.storage.place import Place


@dataclass(frozen=True)
class EmbedJob:
    """Work that a worker does by itself; doing it again gives the same files.

    Attributes:
        number: Of the job in the run.
        source_number: Of the source in the run, with which the names of its parts begin.
        source: Where frames come from.
        first: The first part.
        last: The part behind the last one; None for all of the source.
        count: Frames of the source as far as that is known, 0 if it is not.
        parts: Where parts are written.
        patches: Path or address of the Zarr group; "" for none.
        settings: Of the encoder and of the parts.
    """

    number: int
    source_number: int
    source: EmbedSource
    first: int
    last: int | None
    count: int
    parts: Place
    patches: str
    settings: EmbedSettings


@dataclass(frozen=True)
class JobDone:
    """frames: of all parts of a job. before: of those that were there already."""

    frames: int
    before: int


def embed_job(job: EmbedJob, report: Report | None = None) -> JobDone:
    """Writes the parts of a job that are not there yet.

    ``report`` gets the job's number, its frames that are done, and how many of them were done before.

    Raises:
        PerceptionError: The source cannot be read, or files cannot be written; finished parts stay.
    """
    part, frames = job.first, 0
    while job.last is None or part < job.last:
        facts = read_facts(job.parts, part_name(job.source_number, part))
        if facts is None:
            break
        frames += facts.frames
        _tell(report, job, frames, frames)
        if facts.ended:
            return JobDone(frames, frames)
        part += 1
    else:
        return JobDone(frames, frames)
    before = frames
    size = job.settings.part_frames
    stop = None if job.last is None else job.last * size
    items = job.source.frames(part * size, stop)
    store = _patch_store(job.patches) if job.patches else None
    encoder = frame_encoder(job.settings)
    while job.last is None or part < job.last:
        writer = _Part(job, part, encoder, store)
        for item in islice(items, size):
            writer.add(item)
            _tell(report, job, frames + writer.frames, before)
        ended = writer.finish()
        frames += writer.frames
        part += 1
        if ended:
            break
    return JobDone(frames, before)


@lru_cache(maxsize=1)
def _patch_store(path: str) -> PatchStore:
    return PatchStore(path)


def _tell(report: Report | None, job: EmbedJob, done: int, before: int) -> None:
    if report is not None:
        report(job.number, done, before)


@dataclass
class _Part:
    """A part on its way: at most a batch of images and a chunk of patch features are in memory."""

    job: EmbedJob
    part: int
    encoder: FrameEncoder
    store: PatchStore | None
    frames: int = 0
    _waiting: list[FrameItem] = field(default_factory=list)
    _rows: list[dict[str, Any]] = field(default_factory=list)
    _vectors: list[NDArray[Any]] = field(default_factory=list)
    _grids: dict[int, FeatureGrid] = field(default_factory=dict)
    _unreadable: list[str] = field(default_factory=list)

    def add(self, item: FrameItem) -> None:
        self.frames += 1
        if item.frame is None:
            self._unreadable.append(f"{self.job.source.name}, {item.key}: {item.error}")
        else:
            self._waiting.append(item)
        # Batches and chunks begin at the same frames, whichever of them a run is resumed at.
        behind = item.index + 1
        if len(self._waiting) >= self.job.settings.batch:
            self._encode()
        if self.store is not None and behind % CHUNK_FRAMES == 0:
            self._encode()
            self._flush_patches()

    def finish(self) -> bool:
        """Writes the part; whether the source has no frames behind it."""
        self._encode()
        self._flush_patches()
        job, settings = self.job, self.job.settings
        dim = len(self._vectors[0]) if self._vectors else 0
        table = part_table(self._rows, self._vectors, dim, settings.dtype)
        ended = self.frames < settings.part_frames
        if not job.source.sequential:
            ended = self.part * settings.part_frames + self.frames >= job.count
        elif ended and self.store is not None:
            self.store.settle(job.source.name, self.part * settings.part_frames + self.frames)
        lost = job.source.lost() if ended else ()
        facts = PartFacts(self.frames, tuple(self._unreadable), ended, lost, self.encoder.space)
        write_part(job.parts, part_name(job.source_number, self.part), table, facts)
        return ended

    def _encode(self) -> None:
        items, self._waiting = self._waiting, []
        frames = [item.frame for item in items if item.frame is not None]
        for item, found in zip(items, self.encoder(frames) if frames else (), strict=True):
            self._vectors.append(found.vector)
            self._rows.append(self._row(item, found.grid))
            if found.grid is not None:
                self._grids[item.index] = found.grid

    def _row(self, item: FrameItem, grid: FeatureGrid | None) -> dict[str, Any]:
        assert item.frame is not None
        height, width = item.frame.size
        return {
            "key": item.key, "source": self.job.source.name, "index": item.index,
            "stamp": None if item.stamp < 0 else item.stamp, "frame_id": item.frame.frame_id,
            "topic": item.topic, "label": item.label or None, "height": height, "width": width,
            "model": self.encoder.model, "space": self.encoder.space, "licence": self.encoder.licence,
            "patches": None if grid is None else array_name(self.job.source.name, grid),
        }  # fmt: skip

    def _flush_patches(self) -> None:
        if self.store is None or not self._grids:
            return
        start = min(self._grids) // CHUNK_FRAMES * CHUNK_FRAMES
        self.store.write(self.job.source.name, start, self.job.count, self._grids)
        self._grids = {}
