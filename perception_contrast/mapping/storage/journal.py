"""An append-only file of checksummed records; a process that is killed leaves it whole up to its last one.

A file is a head and records. Head: ``PCMJ``, version (uint32), the number of the snapshot that it continues
(uint64), the map's identity (16 bytes), CRC-32 of all that. Record: ``PCMR``, length of its content (uint32),
CRC-32 of the length and the content, content. Numbers are little endian.
"""

from __future__ import annotations

import os
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from perception_contrast.core.errors import StorageError
from perception_contrast.core.file_writing import MAKE_ROOM, is_out_of_space
from perception_contrast.mapping.storage.map_state import MapError

VERSION = 1
_MAGIC, _MARK = b"PCMJ", b"PCMR"
_HEAD = struct.Struct("<4sIQ16sI")
_RECORD = struct.Struct("<4sII")
_LENGTH = struct.Struct("<I")
MOST_RECORD = (1 << 32) - 1


class JournalHead(NamedTuple):
    """Which map, and which of its snapshots, a journal continues. identity: 16 bytes."""

    snapshot: int
    identity: bytes


class JournalWriter:
    """Appends records to a new file. One thread at a time may append; any may sync.

    Args:
        path: Must not exist.
        head: Written first, and on the disk when the constructor returns.

    Raises:
        StorageError: The file cannot be written; it names the remedy.
    """

    def __init__(self, path: Path, head: JournalHead) -> None:
        self.path = path
        self.bytes = 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            self._file = os.open(path, flags, 0o644)
        except OSError as error:
            raise _unwritable(path, error) from error
        self._dirty = True
        self._closing = threading.RLock()
        try:
            self._write(_head_bytes(head))
            self.sync()
        except BaseException:
            # On a full disk a name costs nothing: every attempt would leave one.
            self.discard()
            raise

    def __enter__(self) -> JournalWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def append(self, content: bytes) -> None:
        """Hands a record to the operating system: from then on the end of this process cannot lose it.

        Raises:
            StorageError: It cannot be written; the records before it stay whole, and more may be appended.
        """
        if len(content) > MOST_RECORD:
            raise StorageError(f"a record of {len(content)} bytes is too large; record changes more often")
        self._write(_RECORD.pack(_MARK, len(content), _checksum(content)) + content)

    def sync(self) -> None:
        """Waits until what was appended is on the disk, where a power cut cannot lose it.

        Raises:
            StorageError: The disk refuses it.
        """
        with self._closing:
            if not self._dirty or self._file < 0:
                return
            self._dirty = False
            try:
                os.fdatasync(self._file)
            except OSError as error:
                raise _unwritable(self.path, error) from error

    def close(self) -> None:
        """Syncs and closes; a second call does nothing."""
        with self._closing:
            if self._file < 0:
                return
            try:
                self.sync()
            finally:
                os.close(self._file)
                self._file = -1

    @property
    def is_empty(self) -> bool:
        """Whether no record was appended."""
        return self.bytes <= _HEAD.size

    @property
    def is_in_place(self) -> bool:
        """Whether what is appended can be read under the journal's name."""
        return is_in_place(self.path, self._file)

    def discard(self) -> None:
        """Closes the file and takes it away, without what is in it."""
        with self._closing:
            if self._file < 0:
                return
            if self.is_in_place:
                with suppress(OSError):
                    self.path.unlink()
            os.close(self._file)
            self._file = -1

    def _write(self, data: bytes) -> None:
        written = 0
        try:
            while written < len(data):
                written += os.write(self._file, memoryview(data)[written:])
        except OSError as error:
            # What is half there would end the journal for all that follows it.
            os.ftruncate(self._file, self.bytes)
            os.lseek(self._file, self.bytes, os.SEEK_SET)
            raise _unwritable(self.path, error) from error
        self.bytes += len(data)
        self._dirty = True


def is_in_place(path: Path, descriptor: int) -> bool:
    """Whether a path names the file that is open as ``descriptor``, or was removed or replaced."""
    try:
        named, opened = path.stat(), os.fstat(descriptor)
    except OSError:
        return False
    return (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)


def read_journal(path: Path, head: JournalHead, *, recover: bool = False) -> Iterator[bytes]:
    """The whole records of a journal, in order. The file is never changed.

    A last record that is cut short or spoilt is left out: its process was killed, or the power failed.

    Args:
        path: The file.
        head: What it must continue.
        recover: Leave out spoilt records that have whole ones behind them too, instead of refusing.

    Raises:
        MapError: It is no such journal, of a newer version or another map, or damaged before its last record.
        FileNotFoundError: It is not there any more.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise MapError(f"'{path}' cannot be read ({error.strerror}); check its permissions") from error
    if len(data) < _HEAD.size:
        return  # killed while it was made
    _require_head(path, data, head)
    at = _HEAD.size
    while at < len(data):
        end = _end_of_record(data, at)
        if end is not None:
            yield data[at + _RECORD.size : end]
            at = end
            continue
        following = _next_record(data, at + 1)
        if following is None:
            return
        if not recover:
            raise MapError(
                f"'{path}' is damaged at byte {at} of {len(data)}; it stays as it is. Restore a copy, or "
                "give `perception-contrast map compact NAME --recover`, which leaves the damaged records out"
            )
        at = following


def _head_bytes(head: JournalHead) -> bytes:
    fields = _HEAD.pack(_MAGIC, VERSION, head.snapshot, head.identity, 0)[:-4]
    return fields + _LENGTH.pack(zlib.crc32(fields))


def _require_head(path: Path, data: bytes, head: JournalHead) -> None:
    magic, version, snapshot, identity, checksum = _HEAD.unpack_from(data)
    if magic != _MAGIC or zlib.crc32(data[: _HEAD.size - 4]) != checksum:
        raise MapError(f"'{path}' is no journal of a map, or its head is damaged; restore a copy of it")
    if version > VERSION:
        raise MapError(f"'{path}' is of the newer version {version}; update perception_contrast to read it")
    if JournalHead(snapshot, identity) != head:
        raise MapError(f"'{path}' belongs to another map or snapshot; put the map's own journal back")


def _checksum(content: bytes | memoryview) -> int:
    return zlib.crc32(content, zlib.crc32(_LENGTH.pack(len(content))))


def _end_of_record(data: bytes, at: int) -> int | None:
    """Where the whole record at ``at`` ends, or None."""
    if at + _RECORD.size > len(data):
        return None
    mark, length, checksum = _RECORD.unpack_from(data, at)
    end = int(at + _RECORD.size + length)
    if mark != _MARK or end > len(data):
        return None
    return end if _checksum(memoryview(data)[at + _RECORD.size : end]) == checksum else None


def _next_record(data: bytes, begin: int) -> int | None:
    """Where the next whole record begins, or None."""
    at = data.find(_MARK, begin)
    while at >= 0:
        if _end_of_record(data, at) is not None:
            return at
        at = data.find(_MARK, at + 1)
    return None


def _unwritable(path: Path, error: OSError) -> StorageError:
    remedy = MAKE_ROOM if is_out_of_space(error) else "check the folder and its permissions"
    return StorageError(f"'{path}' cannot be written ({error.strerror}): {remedy}")
