"""Which sources of points the studio's folders offer."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from perception_contrast.images.file_listing import is_image_name
from perception_contrast.mapping.storage.map_folder import MapFolder
from perception_contrast_studio.points.sources import MapMemory, VectorFile

MOST_FILES = 50
_MANIFEST = "manifest.parquet"
_MEMORY_KINDS = ("objects", "sightings", "keyframes")


def vector_files(folders: Sequence[Path]) -> list[VectorFile]:
    """The .npz and .npy files that lie directly in datasets' folders."""
    found = []
    for folder in folders:
        names = sorted(path for path in folder.glob("*.np[yz]") if path.is_file())
        found += [VectorFile(path, folder) for path in names]
    return found[:MOST_FILES]


def image_folders(folders: Sequence[Path]) -> list[Path]:
    """Those datasets' folders that hold images: extracted ones, and plain folders."""
    return [folder for folder in folders if (folder / _MANIFEST).is_file() or any(_images(folder))]


def map_memories(folder: Path | None) -> list[MapMemory]:
    """What the saved maps remember."""
    if folder is None:
        return []
    maps = MapFolder(folder)
    paths = [(name, maps.memory_path(name)) for name in maps.names()]
    return [MapMemory(path, name, kind) for name, path in paths if path.is_file() for kind in _MEMORY_KINDS]


def _images(folder: Path) -> Iterator[str]:
    for _, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (name for name in files if is_image_name(name))
