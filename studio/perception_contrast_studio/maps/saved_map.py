"""A saved map, which a worker reads: it is opened without a robot."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from perception_contrast.core.arrays import FloatArray
from perception_contrast.core.errors import PerceptionError
from perception_contrast.mapping.answers.map_query import FindFilters, MapQuery
from perception_contrast.mapping.storage.map_folder import MapFolder
from perception_contrast.mapping.storage.map_state import MapHeader
from perception_contrast_studio.maps.cloud_file import ply_bytes
from perception_contrast_studio.maps.map_types import (
    ApproachPlace,
    FindOptions,
    MapAnswer,
    MapEntry,
    MapLayers,
    MapThing,
    Question,
    RecallOptions,
    Sighting,
)
from perception_contrast_studio.maps.spoken_times import is_wall_time
from perception_contrast_studio.workers.worker_pool import Progress, WorkerPool


def _quiet(fraction: float, text: str) -> None:
    """For short tasks."""


class SavedMap:
    """A map of the folder of maps; as of ``MapSource``.

    Args:
        folder: Of the maps.
        name: Of the map.
        workers: Where it is read.
    """

    live = False

    def __init__(self, folder: Path, name: str, workers: WorkerPool) -> None:
        self.name, self.title = name, f"saved map '{name}'"
        self._folder, self._workers = folder, workers
        self._layers, self._header = MapLayers(), MapHeader()
        self._opening: asyncio.Task[None] | None = None
        self._bank: FloatArray | None = None

    @property
    def layers(self) -> MapLayers:
        now, newest = time.time_ns(), self._layers.now
        # Dates are told against today, seconds of a simulation against its end.
        return replace(self._layers, now=now if is_wall_time(newest) else newest)

    async def open(self, on_progress: Progress) -> None:
        """Reads the map once for all views; who waits no longer does not stop it for the others."""
        if self._opening is None or (self._opening.done() and self._opening.exception() is not None):
            self._opening = asyncio.ensure_future(self._read(on_progress))
            # An error that nobody waits for any more is told with the next try.
            self._opening.add_done_callback(lambda task: task.exception())
        await asyncio.shield(self._opening)

    async def _read(self, on_progress: Progress = _quiet) -> None:
        self._layers, self._header = await self._run("open_map", on_progress)

    def watch(self, viewer: str, *, cloud: bool) -> None:
        """Nothing changes by itself."""

    def unwatch(self, viewer: str) -> None:
        """Nothing changes by itself."""

    async def find(self, question: Question, options: FindOptions, on_progress: Progress) -> MapAnswer:
        await self.open(on_progress)
        filters = FindFilters(
            near=None if options.near is None else np.array(options.near, float),
            radius=options.radius,
            since=options.since,
            min_score=options.min_score or None,
            include_gone=options.include_gone,
            max_results=options.most,
        )
        query = await self._query(question, on_progress)
        answer: MapAnswer = await self._run(
            "find", on_progress, query=query, filters=filters, bank=self._bank
        )
        return replace(answer, now=self.layers.now)

    async def heat(self, text: str, on_progress: Progress) -> FloatArray | None:
        await self.open(on_progress)
        vectors = await self._words(text, on_progress)
        found: FloatArray = await self._run("heat", on_progress, vectors=vectors)
        return found

    async def describe(self, thing: MapThing) -> MapThing:
        return next((one for one in self._layers.things if one.id == thing.id), thing)

    async def recall(self, options: RecallOptions) -> tuple[Sighting, ...]:
        found: tuple[Sighting, ...] = await self._run("recall", options=options)
        return found

    async def approach(self, thing: MapThing) -> ApproachPlace:
        found: ApproachPlace = await self._run("approach", thing=thing)
        return found

    async def forget(self, things: Sequence[MapThing]) -> str:
        done: str = await self._run("forget", things=[one.id for one in things])
        await self._read()
        return done

    async def export(self, kind: str) -> bytes:
        if kind == "json":
            text: str = await self._run("objects_json")
            return text.encode()
        cloud = self._layers.cloud
        if cloud is None or not len(cloud.points):
            raise PerceptionError("this map has no cloud to export")
        data: bytes = await asyncio.to_thread(ply_bytes, cloud)
        return data

    async def _query(self, question: Question, on_progress: Progress) -> MapQuery | str:
        """The question with vectors, or the id of a thing whose likes are looked for."""
        if question.like is not None:
            return question.like.id
        if question.image:
            semantic, spatial = await self._encode("image", on_progress, data=question.image)
            if spatial is None:
                return MapQuery(semantic_exemplars=semantic)
            return MapQuery(semantic_exemplars=semantic, spatial_exemplars=spatial)
        if question.label:
            return MapQuery(label=question.label)
        try:
            vectors = await self._words(question.text, on_progress)
            if self._bank is None:
                self._bank = await self._encode("name_bank", on_progress, name=self.name)
        except PerceptionError:
            # A label of the map needs no model.
            if any(question.text.casefold() == label.casefold() for label in self._layers.labels):
                return MapQuery(label=question.text)
            raise
        return MapQuery(label=question.text, texts=vectors)

    async def _words(self, text: str, on_progress: Progress) -> FloatArray:
        found: FloatArray = await self._encode("words", on_progress, name=self.name, texts=[text])
        return found

    async def _encode(self, task: str, on_progress: Progress, **arguments: Any) -> Any:
        # Giving a question up must not end the process that loads the models for the next one.
        return await asyncio.shield(
            self._workers.run(
                f"maps.map_encoding:{task}", on_progress=on_progress, header=self._header, **arguments
            )
        )

    async def _run(self, task: str, on_progress: Progress = _quiet, **arguments: Any) -> Any:
        return await asyncio.shield(
            self._workers.run(
                f"maps.saved_map:{task}",
                on_progress=on_progress,
                folder=self._folder,
                name=self.name,
                **arguments,
            )
        )


def saved_entries(folder: Path) -> tuple[MapEntry, ...]:
    """The maps of a folder, by name. It reads files."""
    maps, found = MapFolder(folder), []
    for name in maps.names():
        info = maps.info(name)
        counts = {} if info.manifest is None else info.manifest.counts
        updated = 0 if info.manifest is None else info.manifest.header.updated
        found.append(
            MapEntry(
                name, info.problem, counts.get("objects", 0), counts.get("voxels", 0), info.bytes, updated
            )
        )
    return tuple(found)
