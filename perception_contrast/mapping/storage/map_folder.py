"""MapFolder: the maps of a robot, by plain names inside one folder."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from perception_contrast.core.errors import PerceptionError, StorageError, one_line
from perception_contrast.core.plain_names import PLAIN_NAME_RULE, is_plain_name
from perception_contrast.mapping.storage.map_format import (
    MANIFEST,
    MEMORY,
    Manifest,
    journals,
    load_map,
    read_manifest,
)
from perception_contrast.mapping.storage.map_state import MapError, MapHeader, MapState
from perception_contrast.mapping.storage.map_writer import MapLock, MapWriter, save_map


def maps_folder() -> Path:
    """Where maps are: $PERCEPTION_CONTRAST_MAPS, else a folder in ~/.local/share."""
    chosen = os.environ.get("PERCEPTION_CONTRAST_MAPS")
    return Path(chosen).expanduser() if chosen else Path.home() / ".local/share/perception_contrast/maps"


@dataclass(frozen=True)
class MapInfo:
    """What a list of maps tells of one.

    Attributes:
        name: Its name.
        path: Its folder.
        bytes: Of all its files.
        journal_bytes: Of its journals.
        manifest: None for a map that cannot be read.
        problem: Why it cannot be read, "" if it can.
    """

    name: str
    path: Path
    bytes: int
    journal_bytes: int
    manifest: Manifest | None
    problem: str = ""


class MapFolder:
    """The maps in one folder. A name that could be a path is refused, so a message may carry it safely.

    Args:
        folder: None for ``maps_folder()``.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = maps_folder() if folder is None else folder

    def path(self, name: str) -> Path:
        """The folder of a map, whether it is there or not. Raises MapError for what is no name."""
        if not is_plain_name(name):
            raise MapError(f"map {name[:80]!r} is not a name; {PLAIN_NAME_RULE}")
        return self.folder / name

    def names(self) -> list[str]:
        """The names of all maps, sorted."""
        if not self.folder.is_dir():
            return []
        return sorted(
            path.name
            for path in self.folder.iterdir()
            if is_plain_name(path.name) and (path / MANIFEST).exists()
        )

    def info(self, name: str) -> MapInfo:
        """What is known of a map without reading its arrays. Raises MapError if there is none."""
        path = self._existing(name)
        size = sum(file.stat().st_size for file in path.iterdir() if file.is_file())
        journal = sum(file.stat().st_size for _, file in journals(path))
        try:
            return MapInfo(name, path, size, journal, read_manifest(path))
        except PerceptionError as error:
            return MapInfo(name, path, size, journal, None, one_line(error))

    def load(
        self, name: str, *, semantic_space: str | None = None, spatial_space: str | None = None
    ) -> MapState:
        """Reads a map.

        Args:
            name: Its name.
            semantic_space: Space of the loaded language model; None to accept any.
            spatial_space: Space of the loaded image encoder; None to accept any.

        Raises:
            MapError: There is no such map, it is damaged, or of a newer version.
            SpaceError: Its vectors are of another model.
        """
        return load_map(self._existing(name), semantic_space=semantic_space, spatial_space=spatial_space)

    def save(self, name: str, state: MapState) -> Path:
        """Writes a map once; one of that name is replaced. The path of its folder.

        Raises:
            MapError: It is no name, or the map of that name is in use or damaged.
            StorageError: It cannot be written; what was there stays.
        """
        path = self.path(name)
        save_map(path, state)
        return path

    def writer(self, name: str, header: MapHeader) -> MapWriter:
        """The writer of a new map, or of one whose state is known. Raises as MapWriter."""
        return MapWriter(self.path(name), header)

    def memory_path(self, name: str) -> Path:
        """The file of a map's memory, whether it is there or not. Raises MapError for what is no name."""
        return self.path(name) / MEMORY

    def delete(self, name: str) -> None:
        """Deletes a map with all that it remembers.

        Raises:
            MapError: There is no such map, or it is in use.
            StorageError: A file cannot be deleted.
        """
        path = self._existing(name)
        with MapLock(path):
            try:
                # Without its head it is a map no more, wherever the deleting ends.
                (path / MANIFEST).unlink()
                shutil.rmtree(path)
            except OSError as error:
                raise StorageError(
                    f"'{error.filename}' cannot be deleted ({error.strerror}); check its permissions"
                ) from error

    def _existing(self, name: str) -> Path:
        path = self.path(name)
        if not (path / MANIFEST).exists():
            known = ", ".join(self.names()) or "none"
            raise MapError(f"there is no map '{name}' in '{self.folder}'; there: {known}")
        return path
