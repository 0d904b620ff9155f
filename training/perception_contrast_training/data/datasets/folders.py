"""Folders of images, and .zip archives of them: flat, or a folder a class."""

from __future__ import annotations

import logging
import lzma
import os
import threading
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from perception_contrast.core.errors import FrameError, PerceptionError
from perception_contrast.images.file_listing import IMAGE_SUFFIXES, is_image_name, list_images
from perception_contrast_training.data.datasets.folder_classes import (
    AUTO,
    FOLDERS,
    class_folders,
    recording_among,
)
from perception_contrast_training.data.datasets.frame_notes import chosen_frames
from perception_contrast_training.data.datasets.samples import (
    UNKNOWN,
    Sample,
    Transform,
    image_tensor,
    in_range,
    no_pose,
)

_log = logging.getLogger(__name__)


class FolderDataset:
    """Images under a folder or in a .zip, sorted by name; ``folder_classes`` says which folder is a class.

    An image without a class has label -1 and group 0. Raises PerceptionError for what is missing, empty or
    no archive; FrameError for a damaged image.

    Args:
        path: Of the folder or archive.
        part, duplicates: As for ``ShardDataset``; an archive has no parts.
        classes: Rule of ``folder_classes.RULES``.
        transform: Applied to each (3, h, w) uint8 image.

    Attributes:
        names, folders, labels: Of each image: its name within the data, its folder, its class or -1.
        left_out: A line for each file that looks like an image and cannot be one.
    """

    def __init__(
        self,
        path: Path | str,
        part: str | None = None,
        *,
        duplicates: bool = False,
        classes: str = AUTO,
        transform: Transform | None = None,
    ) -> None:
        self.path = Path(path)
        self.transform = transform
        self._archive = _Archive(self.path) if self.path.is_file() else None
        self.left_out: tuple[str, ...] = ()
        names = sorted(name for name in self._listed() if is_image_name(name))
        if not names:
            raise PerceptionError(
                f"'{self.path}' holds no images ({', '.join(IMAGE_SUFFIXES)}); check the path"
            )
        chosen = chosen_frames(self.path, names, part, duplicates=duplicates)
        self.names = tuple(name for name, wanted in zip(names, chosen, strict=True) if wanted)
        self._settle_classes(names, classes)

    def _settle_classes(self, names: Sequence[str], classes: str) -> None:
        """names: of all images, also of those that are not given, so that numbers of classes stay."""
        folders = sorted({str(PurePosixPath(name).parent) for name in names})
        class_of = dict(zip(folders, class_folders(folders, classes), strict=True))
        found = sorted(set(class_of.values()) - {""})
        labels = {"": UNKNOWN} | {one: number for number, one in enumerate(found)}
        self.classes = tuple(_class_names(found))
        self.folders = tuple(str(PurePosixPath(name).parent) for name in self.names)
        self.labels = tuple(labels[class_of[folder]] for folder in self.folders)
        if classes == AUTO and not found and len(folders) > 1 and (named := recording_among(folders)):
            _log.info(
                "the folders of '%s' are taken for days or recordings, as '%s', and not for classes; the "
                "option classes=%s makes each a class",
                self.path, named, FOLDERS,
            )  # fmt: skip

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        index = in_range(index, len(self))
        name = self.names[index]
        image = image_tensor(self._read(name), name)
        label = self.labels[index]
        return Sample(
            image=image if self.transform is None else self.transform(image),
            text="",
            stamp=UNKNOWN,
            pose=no_pose(),
            group=max(label, 0),
            label=label,
            index=index,
            key=name,
        )

    def _listed(self) -> list[str]:
        if self._archive is not None:
            return self._archive.names()
        if not self.path.is_dir():
            raise PerceptionError(f"'{self.path}' does not exist; check the path")
        listing = list_images(self.path, recursive=True)
        self.left_out = tuple(f"image '{name}': {reason}" for name, reason in listing.left_out.items())
        for line in self.left_out:
            _log.warning("left out of '%s': %s", self.path, line)
        return [file.relative_to(self.path).as_posix() for file in listing.files]

    def _read(self, name: str) -> bytes:
        if self._archive is not None:
            return self._archive.read(name)
        try:
            return (self.path / name).read_bytes()
        except OSError as error:
            raise FrameError(
                "unreadable_file", f"image '{self.path / name}' cannot be read: {error.strerror or error}"
            ) from error


def archive_names(archive: zipfile.ZipFile) -> list[str]:
    """Names of the files in an archive; folders are none."""
    return [info.filename for info in archive.infolist() if not info.is_dir()]


def archive_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """The bytes of a file in an archive. Raises FrameError "unreadable_file"."""
    try:
        return archive.read(name)
    except (zipfile.BadZipFile, OSError, RuntimeError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise FrameError(
            "unreadable_file", f"'{name}' in '{archive.filename}' cannot be read: {error}; pack it again"
        ) from error


class _Archive:
    """A .zip opened once in each process: two processes must not share one file position."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reset()

    def _reset(self) -> None:
        self._owner, self._open, self._lock = -1, None, threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {"_path": self._path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._path = state["_path"]
        self._reset()

    _open: zipfile.ZipFile | None

    def _zip(self) -> zipfile.ZipFile:
        if self._open is None or self._owner != os.getpid():
            try:
                self._open = zipfile.ZipFile(self._path)
            except (zipfile.BadZipFile, OSError) as error:
                raise PerceptionError(
                    f"'{self._path}' is no .zip ({error}); give a folder, a .zip of images, a table "
                    "(.csv, .jsonl, .parquet) or a dataset that `data extract` made"
                ) from error
            self._owner = os.getpid()
        return self._open

    def names(self) -> list[str]:
        return archive_names(self._zip())

    def read(self, name: str) -> bytes:
        if self._owner != os.getpid():
            # A lock that another thread held when this process was forked would never open.
            self._lock = threading.Lock()
        with self._lock:
            return archive_member(self._zip(), name)


def _class_names(folders: list[str]) -> list[str]:
    """The last part of each folder's path if those differ, else the whole path."""
    short = [PurePosixPath(folder).name or "." for folder in folders]
    return short if len(set(short)) == len(short) else folders
