"""Which files of a folder are images: one rule for all that read folders.

An image is a regular file with a suffix of ``IMAGE_SUFFIXES`` whose name, and whose folders below the one
that is searched, are not hidden. Left out without a word are hidden files (macOS puts a `._` file beside
each that it copies), `__MACOSX` folders, and folders that are called as images are. Left out and told are
links to nowhere, files that may not be read, and names that are not UTF-8, which no result could name.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
"""Suffixes of the files that are read as images, in lower case."""

_ARCHIVE_REMAINS = "__MACOSX"


@dataclass(frozen=True)
class ImageListing:
    """Image files of a folder.

    Attributes:
        files: The images, in the order of their names.
        left_out: Names of files that look like images and cannot be read, with the reason.
    """

    files: tuple[Path, ...]
    left_out: dict[str, str]


def is_image_name(name: str) -> bool:
    """Whether a name, relative to the folder or archive that is searched, is that of an image."""
    path = PurePosixPath(name)
    hidden = any(
        part.startswith((".", _ARCHIVE_REMAINS)) for part in path.parts if part not in (".", "..", "/")
    )
    return path.suffix.lower() in IMAGE_SUFFIXES and not hidden


def list_images(folder: Path, *, recursive: bool = False) -> ImageListing:
    """The image files of a folder, with those of the folders in it if ``recursive``."""
    files: list[Path] = []
    left_out: dict[str, str] = {}
    for path in sorted(folder.rglob("*") if recursive else folder.iterdir()):
        name = path.relative_to(folder).as_posix()
        if not is_image_name(name) or (path.is_dir() and not _is_broken(path)):
            continue
        if reason := _unreadable(path, name):
            left_out[printable(name)] = reason
        else:
            files.append(path)
    return ImageListing(tuple(files), left_out)


def natural_order(name: str) -> list[tuple[int, str]]:
    """Sort key of names that takes runs of digits as numbers: 2 before 10."""
    parts = re.split(r"([0-9]+)", name)
    return [(int(part), "") if part.isascii() and part.isdigit() else (-1, part) for part in parts]


def printable(name: str) -> str:
    """A file's name as text that any output takes; bytes that are not UTF-8 become marks."""
    return os.fsencode(name).decode("utf-8", "replace")


def _is_broken(path: Path) -> bool:
    return path.is_symlink() and not path.exists()


def _unreadable(path: Path, name: str) -> str:
    """Why a file cannot be an image of a folder; "" where it can."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return "its name is not UTF-8; rename it"
    if _is_broken(path):
        return "it is a link to a file that does not exist"
    if not path.is_file():
        return "it is no regular file"
    if not os.access(path, os.R_OK):
        return "it may not be read; change its permissions"
    return ""
