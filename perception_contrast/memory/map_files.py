"""MapFiles: a growing map and its memory on the disk, under the name of the map."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from perception_contrast.core.errors import PerceptionError, StorageError
from perception_contrast.mapping.language.half_rows import HalfArray
from perception_contrast.mapping.map_frame import MapFrame
from perception_contrast.mapping.map_persistence import header_of, map_of, room_of, state_of, take_changes
from perception_contrast.mapping.map_settings import MapSettings
from perception_contrast.mapping.semantic_map import SemanticMap
from perception_contrast.mapping.storage.map_folder import MapFolder
from perception_contrast.mapping.storage.map_format import MEMORY, read_manifest
from perception_contrast.mapping.storage.map_state import MapError, MapState
from perception_contrast.mapping.storage.map_writer import MapWriter
from perception_contrast.mapping.storage.privacy import PrivacyFilter, filtered_records
from perception_contrast.mapping.storage.snapshot_thread import SnapshotThread
from perception_contrast.memory.forgetting import Retention, forget
from perception_contrast.memory.memory_store import MemoryStore
from perception_contrast.memory.pending_memory import PendingMemory
from perception_contrast.memory.sightings import Filters

logger = logging.getLogger(__name__)

SNAPSHOT_PERIOD = 300.0  # seconds


@dataclass(frozen=True)
class MapSummary:
    """What a map holds.

    Attributes:
        name: Of the map.
        objects: Number of objects.
        voxels: Number of voxels.
    """

    name: str
    objects: int
    voxels: int


class MapFiles:
    """Any thread may call.

    Snapshots are written in a thread of their own: when the journal has outgrown the last one, every
    ``snapshot_period`` while frames come, and for ``save``, ``forget`` and ``close``, which wait for them.

    Args:
        folder: The maps on the disk.
        frame: TF frame that positions are in.
        privacy: Called on each image, of an object or a keyframe, before it is stored; None stores all.
        retention: What the memory may hold.
        snapshot_period: Seconds of the surface and the grid, which no journal has, that a sudden end may
            lose; 0 writes them with the snapshots that the journal asks for, on ``save`` and on ``close``.

    Attributes:
        lock: Held while it is changed which map is written; who replaces that map takes it too.
        name: Of the map that is written as it grows; "" for one that is only kept in memory.
        memory: What was seen of that map, where and when; None without a name.
    """

    def __init__(
        self,
        folder: MapFolder,
        frame: str = "map",
        *,
        privacy: PrivacyFilter | None = None,
        retention: Retention | None = None,
        snapshot_period: float = SNAPSHOT_PERIOD,
    ) -> None:
        self.folder, self._frame, self._privacy = folder, frame, privacy
        self._period = snapshot_period
        self.lock = threading.RLock()
        self.name = ""
        self._writer: MapWriter | None = None
        self.memory: MemoryStore | None = None
        self._snapshots = SnapshotThread()
        # Whether frames came, and whether the journal lacks something, since the last snapshot was begun.
        self._grown = self._incomplete = False
        self._pending = PendingMemory(retention or Retention())
        self._calibration: dict[str, dict[str, Any]] = {}

    @property
    def snapshot_age(self) -> float:
        """Seconds since the newest snapshot was written, or since there is a map to write."""
        return self._snapshots.age

    def open(self, name: str, settings: MapSettings) -> SemanticMap | None:
        """Continues the map of a name, which is written from now on.

        Args:
            name: Of the map.
            settings: Of the map.

        Returns:
            The map; None where there was none of that name.

        Raises:
            MapError: What is no name; or the map is in use, damaged, or of a newer version.
            StorageError: It cannot be written.
        """
        with self.lock:
            path, loaded = self.folder.path(name), None
            if name in self.folder.names():
                writer, state = MapWriter.reopen(path)
                try:
                    loaded = map_of(state, settings)
                except BaseException:
                    writer.close()
                    raise
            else:
                writer = self.folder.writer(name, header_of(SemanticMap(settings), self._frame))
            try:
                memory = MemoryStore(self.folder.memory_path(name), privacy=self._privacy)
            except BaseException:
                writer.close()
                raise
            self._shut()
            self.name, self._writer, self.memory = name, writer, memory
            return loaded

    def note_frame(self, own: SemanticMap, frame: MapFrame) -> None:
        """Keeps a frame as a keyframe of the memory, where the camera has moved or time has passed."""
        self._calibration[frame.camera_name] = asdict(frame.camera)
        self._grown = True
        if self.memory is not None:
            self._pending.offer(frame, own.semantic_space)

    def write_changes(self, own: SemanticMap) -> None:
        """Brings what changed since the last call to the disk, and begins a snapshot where one is due.

        Raises:
            StorageError: It cannot be written, or the newest snapshot could not. What can be written is.
        """
        with self.lock:
            if self._writer is None:
                return
            self._writer.require_in_place()
            self._append(own, self._writer)
            write = partial(self._write_snapshot, own, self._writer)
            if self._writer.header.semantic_space != own.semantic_space and self._snapshots.may_start(
                urgent=True
            ):
                # Which models a map is of must outlive a sudden end as soon as there are vectors.
                self._snapshots.write_here(write)
            elif self._is_due(own, self._writer):
                self._snapshots.start(write)
            if self._snapshots.problem:
                raise StorageError(self._snapshots.problem)
            self._writer.require_writable()

    def save(self, name: str, own: SemanticMap) -> MapSummary:
        """Writes the whole map, and waits until it is on the disk.

        Args:
            name: Of the map; "" for the name that it has.
            own: The map.

        Raises:
            MapError: There is no name, or it is none, or a map of that name is in use.
            StorageError: It cannot be written; what was there stays.
        """
        wanted = name or self.name
        if not wanted:
            raise MapError("the map has no name yet; give one")
        if wanted == self.name and self._writer is not None:
            self._write_all(own)
        else:
            self.folder.save(wanted, self._state(own, room_of(own)))
        return self.summary(own, wanted)

    def load(
        self,
        name: str,
        settings: MapSettings,
        present: SemanticMap,
        become: Callable[[SemanticMap], None] = lambda _: None,
    ) -> SemanticMap:
        """Reads a saved map. A map that is written as it grows goes on under the name of the loaded one.

        Args:
            name: Of the saved map.
            settings: Limits of the map.
            present: The map in use; vectors of other models than its are refused. It is saved first, where
                it has another name.
            become: Puts the loaded map in the place of the present one, before any other is written.

        Raises:
            MapError: There is none of that name, or it is damaged, in use, or of a newer version.
            SpaceError: Its vectors are of other models.
        """
        wanted = {"semantic_space": present.semantic_space, "spatial_space": present.spatial_space}
        loaded = map_of(
            self.folder.load(name, **{key: space or None for key, space in wanted.items()}), settings
        )
        moves = self._writer is not None and name != self.name
        if moves:
            self._write_all(present)
        with self.lock:
            self._snapshots.stop()
            if moves:
                again = self.open(name, settings)
                loaded = again if again is not None else loaded
            become(loaded)
            return loaded

    def summary(self, own: SemanticMap, name: str) -> MapSummary:
        """What a map holds."""
        with own.lock:
            voxels = 0 if own.voxels is None else len(own.voxels)
            return MapSummary(name, len(own.objects.objects), voxels)

    def forget(self, own: SemanticMap, numbers: Collection[int], *filters: Filters) -> None:
        """Takes things out of the memory and the map's files, with all images that show them.

        Args:
            own: The map, which has forgotten them already.
            numbers: Ids of objects.
            filters: What else is forgotten of the memory: all that passes any of them.

        Raises:
            StorageError: It cannot be written, so that something is still there.
        """
        self._forget(own, *(Filters(object_id=number) for number in sorted(numbers)), *filters)

    def forget_all(self, own: SemanticMap) -> None:
        """Empties the memory and the map's files, after the map has been cleared. Raises StorageError."""
        self._forget(own, Filters())

    def close(self, own: SemanticMap) -> None:
        """Brings everything to the disk and lets others use the files; what fails is logged."""
        if self._writer is not None:
            try:
                self.save("", own)
            except PerceptionError as error:
                logger.error("the map '%s' could not be written: %s", self.name, error)
        with self.lock:
            self._shut()

    def _shut(self) -> None:
        self._snapshots.stop()
        if self._writer is not None:
            self._writer.close()
        if self.memory is not None:
            self.memory.close()
        self.name, self._writer, self.memory = "", None, None
        self._snapshots = SnapshotThread()

    def _append(self, own: SemanticMap, writer: MapWriter) -> None:
        """Changes into the journal, and what was seen into the memory."""
        assert self.memory is not None
        taken = take_changes(own)
        self._pending.take(taken.sightings, taken.merged, own.semantic_space)
        # What is taken and not written is only in the whole map then.
        was_incomplete, self._incomplete = self._incomplete, True
        objects = filtered_records(self._privacy, taken.changes.objects)
        writer.append(replace(taken.changes, objects=objects))
        self._incomplete = was_incomplete
        self._pending.write(self.memory)

    def _is_due(self, own: SemanticMap, writer: MapWriter) -> bool:
        if self._incomplete:
            return self._snapshots.may_start(urgent=True)
        if writer.wants_snapshot:
            return self._snapshots.may_start()
        is_busy = own.surface is not None and own.surface.rebuilding
        # A surface that is being rebuilt would have to be finished first, which takes seconds.
        return self._period > 0 and self._grown and not is_busy and self._snapshots.may_start(self._period)

    def _write_all(self, own: SemanticMap) -> None:
        """Writes all of the map, and waits for it. Nobody that holds ``lock`` may call it."""
        with self.lock:
            if self._writer is None:
                return
            if not self._writer.is_in_place:
                self._put_back(own)
            self._append(own, self._writer)
            write = partial(self._write_snapshot, own, self._writer)
        self._snapshots.run(write)

    def _write_snapshot(self, own: SemanticMap, writer: MapWriter) -> None:
        room = room_of(own)
        with self._snapshots.hold(self.lock) as held:
            if not held or self._writer is not writer:
                return
            number = writer.begin_snapshot()
            self._grown = self._incomplete = False
            state = self._state(own, room)
        try:
            writer.finish_snapshot(number, state)
        except BaseException:
            self._incomplete = True
            raise

    def _put_back(self, own: SemanticMap) -> None:
        """Makes the folder of the map anew, which somebody took away, with the memory that is still open."""
        assert self.memory is not None and self._writer is not None
        name, path = self.name, self.folder.path(self.name)
        # A snapshot that was being written may have made the folder again by itself.
        if name in self.folder.names() and read_manifest(path).identity != self._writer.identity:
            raise MapError(
                f"another map was put in place of '{name}' while it is written; save it under another name, "
                f"or delete what is in '{path}'"
            )
        self._snapshots.stop()
        writer = self.folder.writer(name, header_of(own, self._frame, self._calibration))
        try:
            self.memory.copy_to(path / MEMORY)
            memory = MemoryStore(path / MEMORY, privacy=self._privacy)
        except BaseException:
            writer.close()
            raise
        self._writer.close()
        self.memory.close()
        self._writer, self.memory = writer, memory

    def _forget(self, own: SemanticMap, *filters: Filters) -> None:
        with self.lock:
            if self._writer is None or self.memory is None:
                return
            try:
                # What was noted of it until now is forgotten with the rest.
                self._append(own, self._writer)
            except PerceptionError:
                # What cannot be written now must not be written later.
                self._pending.clear()
            forget(self.memory, *filters)
        self._write_all(own)

    def _state(self, own: SemanticMap, room: HalfArray | None = None) -> MapState:
        state = state_of(own, header_of(own, self._frame, self._calibration), room)
        return replace(state, objects=filtered_records(self._privacy, state.objects))
