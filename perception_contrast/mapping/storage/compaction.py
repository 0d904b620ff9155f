"""Compaction of a map: one snapshot in place of a snapshot and its journals."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from perception_contrast.mapping.storage.map_format import (
    load_map,
    newest_number,
    read_manifest,
    write_snapshot,
)
from perception_contrast.mapping.storage.map_writer import MapLock


@dataclass(frozen=True)
class Compaction:
    """Bytes of a map's own files before and after."""

    before: int
    after: int


def compact(path: Path, *, recover: bool = False) -> Compaction:
    """Writes what a map's snapshot and journals say together as one snapshot, and removes the journals.

    Args:
        path: The map's folder.
        recover: Leave out what is damaged in the journals, instead of refusing the map.

    Raises:
        MapError: There is no map, it is in use, damaged, or of a newer version.
        StorageError: It cannot be written; what was there stays.
    """
    manifest = read_manifest(path)
    with MapLock(path):
        before = _size(path)
        state = load_map(path, recover=recover)
        write_snapshot(path, manifest, newest_number(path, manifest) + 1, state)
        return Compaction(before, _size(path))


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.iterdir() if file.is_file())
