"""The map of a running map_node, shared by all views: each topic is read once, while a view shows it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from nicegui import background_tasks
from numpy.typing import NDArray

from perception_contrast.core.errors import PerceptionError
from perception_contrast.mapping.storage.map_state import MapHeader
from perception_contrast_studio.maps.cloud_file import ply_bytes
from perception_contrast_studio.maps.map_types import (
    ANSWERS,
    ApproachPlace,
    Cloud,
    FindOptions,
    Ground,
    MapAnswer,
    MapEntry,
    MapLayers,
    MapThing,
    Question,
    RecallOptions,
    Sighting,
    box_fields,
    point_of,
)
from perception_contrast_studio.robot.robot_link import RobotLink
from perception_contrast_studio.workers.worker_pool import Progress, WorkerPool

if TYPE_CHECKING:
    from perception_contrast.client import MapClient, Vectors

# Seconds between two looks at a topic that every view then sees.
_PERIODS = {"detections": 1.0, "grid": 2.0, "cloud": 3.0}
_MANY = 50
# Seconds: reading a large map and loading a model take a while.
_PATIENCE = 120.0
_RETRY = 3.0


class LiveMap:
    """The map of a map_node; as of ``MapSource``.

    Args:
        robot: Its nodes.
        workers: Encode images.
    """

    live = True

    def __init__(self, robot: RobotLink, workers: WorkerPool) -> None:
        self.title = f"robot ({robot.options.map_target})"
        self._robot, self._workers = robot, workers
        self._layers = MapLayers()
        self._views: dict[str, bool] = {}
        self._readers: dict[str, asyncio.Task[None]] = {}
        # The node's clock, and the time here when it was told.
        self._clock = (0, 0)

    @property
    def client(self) -> MapClient:
        """Raises PerceptionError without ROS 2."""
        return self._robot.client.map

    @property
    def layers(self) -> MapLayers:
        stamp, told = self._clock
        now = stamp + time.monotonic_ns() - told if stamp else time.time_ns()
        return replace(self._layers, now=now)

    async def open(self, on_progress: Progress) -> None:
        """Nothing to wait for: the layers come by themselves."""

    def watch(self, viewer: str, *, cloud: bool) -> None:
        self._views[viewer] = cloud
        self._settle()

    def unwatch(self, viewer: str) -> None:
        self._views.pop(viewer, None)
        self._settle()

    async def find(self, question: Question, options: FindOptions, on_progress: Progress) -> MapAnswer:
        asked: dict[str, Any] = {"text": question.text, "label": question.label}
        if question.like is not None or question.image:
            asked = {"exemplar": await self._exemplar(question, on_progress)}
        on_progress(0.8, "asking the map")
        # An absent node is told of at the usual time.
        await self.client.start.state()
        found = await self.client.start.find(
            **asked,
            near=options.near,
            radius=options.radius,
            since=options.since,
            min_score=options.min_score,
            include_gone=options.include_gone,
            thumbnails=True,
            max_results=options.most,
            timeout=_PATIENCE,
        )
        self._note_clock(found.stamp)
        things = tuple(_thing(one) for one in found.things)
        kind = next(one for one in ANSWERS if one == found.answer)
        return MapAnswer(kind, found.message, things, found.directions, found.stamp)

    async def heat(self, text: str, on_progress: Progress) -> NDArray[np.float32] | None:
        on_progress(0.5, "setting the node's words")
        await self.client.start.parameters.set({"queries": [text]})
        return None

    async def describe(self, thing: MapThing) -> MapThing:
        if not thing.id or thing.thumbnail:
            return thing
        found = await self.client.start.find(
            label=thing.label, thumbnails=True, include_gone=True, max_results=_MANY
        )
        self._note_clock(found.stamp)
        return next((_thing(one) for one in found.things if one.id == thing.id), thing)

    async def recall(self, options: RecallOptions) -> tuple[Sighting, ...]:
        found = await self.client.start.recall(
            thing=options.thing,
            since=options.since,
            until=options.until,
            thumbnails=True,
            max_results=options.most,
        )
        return tuple(
            Sighting(
                one.stamp,
                one.thing_id,
                one.label,
                one.score,
                one.camera,
                point_of(one.box.center),
                one.thumbnail,
            )
            for one in found.sightings
        )

    async def approach(self, thing: MapThing) -> ApproachPlace:
        found = await self.client.start.approach(thing.id)
        away = float(np.hypot(found.x - thing.center[0], found.y - thing.center[1]))
        return ApproachPlace(found.x, found.y, found.yaw, f"{away:.2f} m from its middle, reachable and free")

    async def forget(self, things: Sequence[MapThing]) -> str:
        count = await self.client.start.forget([one.id for one in things])
        return f"forgotten: {count} thing{'s' * (count != 1)}"

    async def export(self, kind: str) -> bytes:
        cloud = self._layers.cloud
        if kind != "ply":
            raise PerceptionError("save the map under a name, then open it here to export its objects")
        if cloud is None or not len(cloud.points):
            raise PerceptionError("no cloud came yet; open the 3D view and wait for the first one")
        return await asyncio.to_thread(ply_bytes, cloud)

    # Maps on the robot's disk.

    async def entries(self) -> tuple[MapEntry, ...]:
        """The maps that the node can load."""
        found = await self.client.start.list()
        return tuple(
            MapEntry(one.name, one.problem, one.objects, one.voxels, one.bytes, one.updated, one.current)
            for one in found
        )

    async def save(self, name: str) -> str:
        """Writes the map under a name, "" for its present one. Returns what the node says."""
        await self.client.start.state()
        return await self.client.start.save(name, _PATIENCE)

    async def load(self, name: str) -> str:
        """Replaces the map by a saved one. Returns what the node says."""
        await self.client.start.state()
        said = await self.client.start.load(name, _PATIENCE)
        self._layers = MapLayers()
        return said

    async def clear(self) -> None:
        """Forgets everything."""
        await self.client.start.clear()
        self._layers = MapLayers()

    # Topics.

    def _settle(self) -> None:
        """Reads what a view shows, and ends reading what none does."""
        wanted = set(_PERIODS) if any(self._views.values()) else set(_PERIODS) - {"cloud"}
        if not self._views:
            wanted = set()
        for name in set(self._readers) - wanted:
            self._readers.pop(name).cancel()
        for name in wanted - set(self._readers):
            self._readers[name] = background_tasks.create(self._read(name), name=f"map {name}")

    async def _read(self, name: str) -> None:
        take = {"detections": self._on_things, "grid": self._on_ground, "cloud": self._on_cloud}[name]
        while True:
            try:
                # Joining the ROS network takes a while.
                await asyncio.to_thread(lambda: self.client)
                # Tells at once where the node is absent; a topic alone would stay silent.
                await self.client.start.state()
                await self._follow(name, take)
            except PerceptionError as error:
                self._layers = replace(self._layers, problem=str(error))
            await asyncio.sleep(_RETRY)

    async def _follow(self, name: str, take: Callable[[Any], None]) -> None:
        stream = getattr(self.client, name)()
        newest: list[Any] = []

        async def drain() -> None:
            async for value in stream:
                newest[:] = [value]

        draining = asyncio.ensure_future(drain())
        try:
            while not draining.done():
                if newest:
                    take(newest.pop())
                    self._layers = replace(self._layers, problem="")
                    await asyncio.sleep(_PERIODS[name])
                else:
                    await asyncio.sleep(0.1)
            draining.result()
        finally:
            draining.cancel()
            stream.close()
            with contextlib.suppress(asyncio.CancelledError, PerceptionError):
                await draining

    def _on_things(self, value: Any) -> None:
        self._note_clock(value.stamp)
        known = {one.id: one for one in self._layers.things}
        things = []
        for one in value.things:
            center, size, yaw = box_fields(one.box)
            made = MapThing(one.track_id, one.label, one.score, "confirmed", center, size, yaw)
            things.append(known[made.id] if known.get(made.id) == made else made)
        labels = tuple(sorted({one.label for one in things}))
        if tuple(things) != self._layers.things:
            self._layers = replace(self._layers, things=tuple(things), labels=labels)

    def _on_ground(self, value: Any) -> None:
        x, y, _ = value.origin
        present = self._layers.ground
        if present is None or not np.array_equal(present.cells, value.cells) or present.origin != (x, y):
            self._layers = replace(self._layers, ground=Ground(value.cells.copy(), value.resolution, (x, y)))

    def _on_cloud(self, value: Any) -> None:
        heat = value.intensity if len(value.intensity) and bool(value.intensity.any()) else None
        self._layers = replace(self._layers, cloud=Cloud(value.points, value.rgb, heat))

    def _note_clock(self, stamp: int) -> None:
        if stamp > 0:
            self._clock = (stamp, time.monotonic_ns())

    # Images.

    async def _exemplar(self, question: Question, on_progress: Progress) -> Vectors:
        """The vector of an image in the space of the perception_node's words."""
        from perception_contrast.client import Vectors

        image = question.image
        if question.like is not None:
            image = (await self.describe(question.like)).thumbnail
            if not image:
                raise PerceptionError(f"there is no image of '{question.like.label}' {question.like.id} yet")
        on_progress(0.05, "asking perception_node for its language model")
        words = await self._robot.client.start.embed_text(["thing"])
        encoding = self._workers.run(
            "maps.map_encoding:image",
            on_progress=on_progress,
            header=MapHeader(semantic_space=words.space),
            data=image,
        )
        rows, _ = await asyncio.shield(encoding)
        return Vectors(rows, words.model, words.space)


def _thing(one: Any) -> MapThing:
    return MapThing(
        one.id,
        one.label,
        one.score,
        one.status,
        *box_fields(one.box),
        one.first_seen,
        one.last_seen,
        one.sightings,
        one.thumbnail,
    )
