"""A map as a folder: snapshots that appear whole or not at all, and the journals that continue them.

docs/map_format.md describes the files for who reads them with other programs.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import sqlite3
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from perception_contrast.core.cache import sha256_of
from perception_contrast.core.errors import StorageError
from perception_contrast.core.file_writing import writing
from perception_contrast.mapping.storage.journal import JournalHead, read_journal
from perception_contrast.mapping.storage.map_changes import applied, from_record, rows_of
from perception_contrast.mapping.storage.map_state import (
    PARTS,
    Arrays,
    MapError,
    MapHeader,
    MapState,
    require_spaces,
)
from perception_contrast.mapping.storage.stored_objects import read_objects, write_objects

FORMAT, FORMAT_VERSION = "perception_contrast map", 1
MANIFEST = "map.json"
MEMORY = "memory.sqlite"
_OBJECTS = "objects"
_NUMBERED = re.compile(
    r"(?:(?:voxels|far_rays|surface|keyframes)\.(\d+)\.safetensors|objects\.(\d+)\.sqlite)"
)
_JOURNAL = re.compile(r"journal\.(\d+)\.bin")
# Of our own writing, and of that of safetensors.
_UNFINISHED = re.compile(r"\..*\.part|\.tmp[0-9A-Za-z]{6}")
_ATTEMPTS = 5


@dataclass(frozen=True)
class StoredFile:
    """What a file of a snapshot must be. sha256: hexadecimal."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """The content of ``map.json``.

    Attributes:
        header: Spaces, frame, sizes, calibration, times.
        identity: 32 hexadecimal digits, other for each map, the same for its snapshots.
        snapshot: Number of the snapshot; it grows.
        files: Name to what the file must be.
        counts: Rows of each part, and objects.
    """

    header: MapHeader
    identity: str = field(default_factory=lambda: secrets.token_hex(16))
    snapshot: int = 0
    files: Mapping[str, StoredFile] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)

    def journal_head(self, number: int) -> JournalHead:
        """Head of the journal of that number."""
        return JournalHead(number, bytes.fromhex(self.identity))


def read_manifest(path: Path) -> Manifest:
    """Reads ``map.json`` of a map's folder.

    Raises:
        MapError: There is no map, its head is damaged, or it is of a newer version.
    """
    file = path / MANIFEST
    try:
        held = json.loads(file.read_text("utf-8"))
        if held["format"] != FORMAT:
            raise ValueError(f"format {held['format']!r}")
        version = int(held["format_version"])
        if version > FORMAT_VERSION:
            raise MapError(
                f"map '{path.name}' is of format {version}, and this version reads up to {FORMAT_VERSION}; "
                "update perception_contrast"
            )
        files = {str(name): StoredFile(**one) for name, one in held["files"].items()}
        if not all(_NUMBERED.fullmatch(name) for name in files):
            raise ValueError("names of files that no map has")
        header = MapHeader(**held["header"])
        return Manifest(header, str(held["identity"]), int(held["snapshot"]), files, dict(held["counts"]))
    except FileNotFoundError as error:
        raise MapError(f"there is no map '{path.name}' in '{path.parent}'") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise MapError(
            f"map '{path.name}' is damaged: '{file}' cannot be read ({error}); "
            "restore a copy of it, or delete the map"
        ) from error


def load_map(
    path: Path,
    *,
    semantic_space: str | None = None,
    spatial_space: str | None = None,
    recover: bool = False,
) -> MapState:
    """Reads a map: its snapshot, and what the journals say of the time since. Nothing is changed.

    It may be read beside its writer.

    Args:
        path: The map's folder.
        semantic_space: Space of the loaded language model; None to accept any.
        spatial_space: Space of the loaded image encoder; None to accept any.
        recover: Leave out what is damaged in the journals, instead of refusing the map.

    Raises:
        MapError: There is no map, it is damaged, or of a newer version.
        SpaceError: Its vectors are of another model.
    """
    manifest, missing = read_manifest(path), ""
    for _ in range(_ATTEMPTS):
        require_spaces(manifest.header, path.name, semantic_space, spatial_space)
        try:
            return _load(path, manifest, recover=recover)
        except (MapError, FileNotFoundError) as error:
            # Its writer may have replaced the snapshot in between, or taken an empty journal away.
            newer = read_manifest(path)
            if newer.snapshot == manifest.snapshot:
                if isinstance(error, MapError):
                    raise
                if str(error.filename) == missing:
                    raise MapError(
                        f"map '{path.name}' is damaged: '{missing}' is missing; restore a copy of the map"
                    ) from error
                missing = str(error.filename)
            manifest = newer
    raise MapError(f"map '{path.name}' is replaced faster than it can be read; try again")


def _load(path: Path, manifest: Manifest, *, recover: bool) -> MapState:
    for name, wanted in manifest.files.items():
        _require_whole(path / name, wanted, path.name)
    parts = {part: _part(path, manifest, part) for part in PARTS}
    objects, facts = read_objects(path / _file_name(_OBJECTS, manifest.snapshot))
    state = MapState(manifest.header, **parts, objects=objects, facts=facts)
    records = (
        from_record(content)
        for number, journal in journals(path)
        if number >= manifest.snapshot
        for content in read_journal(journal, manifest.journal_head(number), recover=recover)
    )
    return applied(state, records)


def _part(path: Path, manifest: Manifest, part: str) -> Arrays:
    name = _file_name(part, manifest.snapshot)
    if name not in manifest.files:
        return {}
    try:
        return dict(load_file(path / name))
    except SafetensorError as error:
        raise MapError(f"'{path / name}' is damaged ({error}); restore a copy of the map") from error


def _require_whole(file: Path, wanted: StoredFile, name: str) -> None:
    size = file.stat().st_size
    if size != wanted.bytes or sha256_of(file) != wanted.sha256:
        raise MapError(
            f"map '{name}' is damaged: '{file}' is not what {MANIFEST} says; it stays as it is. "
            "Restore a copy of the map, or delete it"
        )


def write_snapshot(path: Path, manifest: Manifest, number: int, state: MapState) -> Manifest:
    """Writes a state as a map's snapshot; what was before it is removed once it is whole on the disk.

    Args:
        path: The map's folder.
        manifest: The map's present one.
        number: Larger than those of all its snapshots. Journals with a smaller one are removed.
        state: All of the map.

    Returns:
        The new manifest.

    Raises:
        StorageError: It cannot be written; the snapshot that was there stays.
    """
    files = {}
    try:
        for part in PARTS:
            if table := getattr(state, part):
                files[_file_name(part, number)] = _write_part(path / _file_name(part, number), table)
        name = _file_name(_OBJECTS, number)
        files[name] = _write_objects(path / name, state)
        now = time.time_ns()
        header = replace(
            state.header, updated=now, created=state.header.created or manifest.header.created or now
        )
        counts = {part: rows_of(getattr(state, part)) for part in PARTS} | {_OBJECTS: len(state.objects)}
        new = replace(manifest, header=header, snapshot=number, files=files, counts=counts)
        _sync_folder(path)
        _write_manifest(path, new)
    except StorageError:
        for name in files:
            (path / name).unlink(missing_ok=True)
        raise
    remove_older(path, number)
    return new


def journals(path: Path) -> list[tuple[int, Path]]:
    """Numbers and paths of a map's journals, in order."""
    found = [(_JOURNAL.fullmatch(file.name), file) for file in path.iterdir()]
    return sorted((int(match[1]), file) for match, file in found if match)


def journal_path(path: Path, number: int) -> Path:
    """Where the journal of that number lies."""
    return path / f"journal.{number}.bin"


def newest_number(path: Path, manifest: Manifest) -> int:
    """The largest number of a snapshot or journal, finished or not."""
    named = [_NUMBERED.fullmatch(file.name) for file in path.iterdir()]
    numbers = [int(match[1] or match[2]) for match in named if match]
    return max([manifest.snapshot, *numbers, *(number for number, _ in journals(path))])


def remove_older(path: Path, number: int) -> None:
    """Removes snapshots and journals before a number, and parts that a killed writer left."""
    for file in path.iterdir():
        match = _NUMBERED.fullmatch(file.name) or _JOURNAL.fullmatch(file.name)
        is_old = match is not None and int(next(group for group in match.groups() if group)) < number
        if is_old or _UNFINISHED.fullmatch(file.name):
            with suppress(FileNotFoundError):
                file.unlink()


def _file_name(part: str, number: int) -> str:
    return f"{part}.{number}.{'sqlite' if part == _OBJECTS else 'safetensors'}"


def _write_part(file: Path, table: Arrays) -> StoredFile:
    with writing(file) as part:
        save_file({name: np.ascontiguousarray(array) for name, array in table.items()}, str(part))
        return _synced(part)


def _write_objects(file: Path, state: MapState) -> StoredFile:
    try:
        with writing(file) as part:
            write_objects(part, state.objects, state.facts, state.header.voxel_size)
            return _synced(part)
    except sqlite3.Error as error:
        raise StorageError(
            f"'{file}' cannot be written ({error}): make room there, or check the folder"
        ) from error


def _write_manifest(path: Path, manifest: Manifest) -> None:
    held = {"format": FORMAT, "format_version": FORMAT_VERSION, **asdict(manifest)}
    with writing(path / MANIFEST) as part:
        part.write_text(json.dumps(held, indent=1, ensure_ascii=False) + "\n", "utf-8")
        _synced(part)
    _sync_folder(path)


def _synced(file: Path) -> StoredFile:
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
    return StoredFile(file.stat().st_size, sha256_of(file))


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
