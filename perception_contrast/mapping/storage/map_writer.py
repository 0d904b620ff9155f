"""MapWriter: keeps a map on the disk while it grows, so that a killed process loses a second at most."""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from perception_contrast.core.errors import PerceptionError, StorageError
from perception_contrast.core.file_writing import MAKE_ROOM, is_out_of_space
from perception_contrast.mapping.storage.journal import JournalWriter, is_in_place
from perception_contrast.mapping.storage.map_changes import to_record
from perception_contrast.mapping.storage.map_format import (
    MANIFEST,
    Manifest,
    journal_path,
    journals,
    load_map,
    newest_number,
    read_manifest,
    write_snapshot,
)
from perception_contrast.mapping.storage.map_state import MapChanges, MapError, MapHeader, MapState

_log = logging.getLogger(__name__)
LOCK = "writer.lock"
SYNC_SECONDS = 1.0
_LEAST_JOURNAL = 64 << 20


class MapLock:
    """A map's folder for one writer. It ends with its process, however that ends.

    Args:
        path: The map's folder; made if it is not there.

    Raises:
        MapError: Another process writes the map.
        StorageError: The folder cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            remedy = MAKE_ROOM if is_out_of_space(error) else "check the folder and its permissions"
            raise StorageError(f"map '{path}' cannot be written ({error.strerror}): {remedy}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._file)
            raise MapError(
                f"map '{path.name}' is written by another process; stop it, or choose another name"
            ) from error

    @property
    def is_in_place(self) -> bool:
        """Whether the folder is the one that was locked: not removed, moved away or replaced."""
        return is_in_place(self._path / LOCK, self._file)

    def release(self) -> None:
        """Lets others write; a second call does nothing."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> MapLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class MapWriter:
    """The one writer of a map's folder.

    ``append`` gives changes to the operating system at once; a thread brings them to the disk every
    ``sync_seconds``. ``snapshot`` writes all of the map and begins a new journal.

    Args:
        path: The map's folder.
        header: Of a new map, or of the one that is there.
        sync_seconds: What a power cut may cost.
        lock: The folder's, where it is held already; released by ``close``.

    Raises:
        MapError: The map is in use, damaged, or of a newer version.
        StorageError: The folder cannot be written.
    """

    def __init__(
        self,
        path: Path,
        header: MapHeader,
        *,
        sync_seconds: float = SYNC_SECONDS,
        lock: MapLock | None = None,
    ) -> None:
        self._path = path
        self._lock = MapLock(path) if lock is None else lock
        self._file_lock = threading.Lock()
        self._stop = threading.Event()
        try:
            known = (path / MANIFEST).exists()
            self._manifest = read_manifest(path) if known else Manifest(header)
            self._number = newest_number(path, self._manifest)
            if not known:
                self._number += 1
                self._manifest = write_snapshot(path, self._manifest, self._number, MapState(header))
            # What a killed process left may end in a torn record, so nothing is appended to it.
            self._older_bytes = sum(file.stat().st_size for _, file in journals(path))
            self._journal = self._next_journal()
        except BaseException:
            self._lock.release()
            raise
        self._syncing = threading.Thread(
            target=self._sync_often, args=(sync_seconds,), name="map journal", daemon=True
        )
        self._syncing.start()

    @classmethod
    def reopen(
        cls,
        path: Path,
        *,
        semantic_space: str | None = None,
        spatial_space: str | None = None,
        sync_seconds: float = SYNC_SECONDS,
    ) -> tuple[MapWriter, MapState]:
        """Continues a map: its writer, and its state up to the last whole record.

        Args:
            path: The map's folder.
            semantic_space: Space of the loaded language model; None to accept any.
            spatial_space: Space of the loaded image encoder; None to accept any.
            sync_seconds: What a power cut may cost.

        Raises:
            MapError: There is no map, or it is in use, damaged, or of a newer version.
            SpaceError: Its vectors are of another model.
        """
        header = read_manifest(path).header
        lock = MapLock(path)
        try:
            # A map that is refused stays as it is, so it is read before anything is written.
            state = load_map(path, semantic_space=semantic_space, spatial_space=spatial_space)
            return cls(path, header, sync_seconds=sync_seconds, lock=lock), state
        except BaseException:
            lock.release()
            raise

    def __enter__(self) -> MapWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def path(self) -> Path:
        """The map's folder."""
        return self._path

    @property
    def header(self) -> MapHeader:
        """Of the newest snapshot."""
        return self._manifest.header

    @property
    def identity(self) -> str:
        """Of the map, as of ``Manifest``."""
        return self._manifest.identity

    @property
    def journal_bytes(self) -> int:
        """Bytes that a reader must go through beside the snapshot."""
        return self._older_bytes + self._journal.bytes

    @property
    def wants_snapshot(self) -> bool:
        """Whether the journal was removed, or the journals are larger than the snapshot, and matter."""
        if not self._journal.is_in_place:
            return True
        held = sum(file.bytes for file in self._manifest.files.values())
        return self.journal_bytes > max(_LEAST_JOURNAL, held)

    @property
    def is_in_place(self) -> bool:
        """Whether the folder is the one that is written: not removed, moved away or replaced."""
        return self._lock.is_in_place

    def require_in_place(self) -> None:
        """Raises StorageError where the folder was removed or moved away: nothing that is written stays."""
        if not self.is_in_place:
            raise StorageError(
                f"the folder '{self._path}' was removed or moved while its map is written, so that what the "
                "map learns is on no disk. Save the map, which writes all of it there anew (`~/save` with an "
                "empty name); or put the folder back"
            )

    def require_writable(self) -> None:
        """Raises StorageError where no file can be made in the folder, though the journal goes on."""
        if not os.access(self._path, os.W_OK | os.X_OK):
            raise StorageError(
                f"the folder '{self._path}' cannot be written any more. The map's journal goes on, but no "
                "snapshot can be made, which the surface needs; give the user who runs this the right to "
                "write there again"
            )

    def append(self, changes: MapChanges) -> None:
        """Notes changes: the end of this process cannot lose them from then on.

        Raises:
            StorageError: They cannot be written. They may be given again, or a snapshot written.
        """
        if changes.is_empty:
            return
        content = to_record(changes)
        with self._file_lock:
            self._journal.append(content)

    def snapshot(self, state: MapState) -> None:
        """Writes all of the map, from which on the older journals are not needed.

        Args:
            state: The map after all changes that were appended.

        Raises:
            StorageError: It cannot be written; the older snapshot and the journals stay.
        """
        self.finish_snapshot(self.begin_snapshot(), state)

    def begin_snapshot(self) -> int:
        """Begins a new journal for what is appended from here on, and gives the number of the snapshot.

        The state of the map must be taken before anything more is appended.

        Raises:
            StorageError: The journal cannot be written.
        """
        with self._file_lock:
            # What is begun again after a snapshot that failed has a journal already.
            is_begun = self._journal.is_empty and self._number > self._manifest.snapshot
            if is_begun and self._journal.is_in_place:
                return self._number
            finished, self._journal = self._journal, self._next_journal()
            self._older_bytes += finished.bytes
            number = self._number
        finished.close()
        return number

    def finish_snapshot(self, number: int, state: MapState) -> None:
        """Writes a snapshot that was begun; another thread may append meanwhile.

        Raises:
            StorageError: It cannot be written; the older snapshot and the journals stay.
        """
        self.require_in_place()
        self._manifest = write_snapshot(self._path, self._manifest, number, state)
        with self._file_lock:
            files = [file for other, file in journals(self._path) if number <= other < self._number]
            self._older_bytes = sum(file.stat().st_size for file in files)

    def sync(self) -> None:
        """Waits until all that was appended is on the disk. Raises StorageError."""
        with self._file_lock:
            journal = self._journal
        journal.sync()

    def close(self) -> None:
        """Brings everything to the disk and lets others write; a second call does nothing."""
        self._stop.set()
        if self._syncing is not threading.current_thread():
            self._syncing.join()
        try:
            if self._journal.is_empty:
                self._journal.discard()
            self._journal.close()
        finally:
            self._lock.release()

    def _next_journal(self) -> JournalWriter:
        number = self._number + 1
        journal = JournalWriter(journal_path(self._path, number), self._manifest.journal_head(number))
        self._number = number
        return journal

    def _sync_often(self, seconds: float) -> None:
        told = ""
        while not self._stop.wait(seconds):
            try:
                self.sync()
                told = ""
            except PerceptionError as error:
                if str(error) != told:
                    _log.error("what the map learned may be lost by a power cut: %s", error)
                told = str(error)


def save_map(path: Path, state: MapState) -> None:
    """Writes a map once; whoever reads sees what was there before, or all of it.

    Args:
        path: The map's folder; made if it is not there.
        state: All of the map.

    Raises:
        MapError: A map of that name is in use, damaged, or of a newer version.
        StorageError: It cannot be written; what was there stays.
    """
    with MapLock(path):
        old = read_manifest(path) if (path / MANIFEST).exists() else Manifest(state.header)
        # Another map has another identity, which keeps the journals of the old one from continuing it.
        new = replace(Manifest(state.header), snapshot=old.snapshot)
        write_snapshot(path, new, newest_number(path, old) + 1, state)
