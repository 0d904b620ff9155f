"""Where the pictures of points are, by number, and how one is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from perception_contrast.core.errors import FrameError, PerceptionError
from perception_contrast.images.files import decode_image_file, encode_image
from perception_contrast.images.resize import shrink_image
from perception_contrast.memory.memory_store import MemoryStore

LONG_SIDE = 224


class Pictures(Protocol):
    """Files of images by the number of their point."""

    def read(self, index: int) -> bytes:
        """The bytes of an image file.

        Raises:
            PerceptionError: There is none, or it cannot be read.
        """
        ...


@dataclass(frozen=True)
class FilePictures:
    """Files in a folder.

    Attributes:
        folder: That all of them lie in.
        names: Within the folder.
    """

    folder: Path
    names: Sequence[str]

    def read(self, index: int) -> bytes:
        """As ``Pictures``. A name that leads out of the folder is refused."""
        path = (self.folder / self.names[index]).resolve()
        if not path.is_relative_to(self.folder.resolve()):
            raise PerceptionError(f"'{self.names[index]}' lies outside of '{self.folder}'")
        return file_bytes(path)


@dataclass(frozen=True)
class ShardPictures:
    """Ranges of files, as of a dataset's shards.

    Attributes:
        folder: That the files lie in.
        files: Name of each point's file.
        offsets: First byte of each image.
        sizes: Bytes of each image.
    """

    folder: Path
    files: Sequence[str]
    offsets: Sequence[int]
    sizes: Sequence[int]

    def read(self, index: int) -> bytes:
        """As ``Pictures``."""
        path = self.folder / self.files[index]
        if path.parent != self.folder:
            raise PerceptionError(f"'{self.files[index]}' is no file of '{self.folder}'")
        return file_bytes(path, self.offsets[index], self.sizes[index])


@dataclass(frozen=True)
class MemoryPictures:
    """Thumbnails in a map's memory.

    Attributes:
        path: Of the memory.
        kind: "sighting" or "keyframe".
        ids: Row of each point.
    """

    path: Path
    kind: str
    ids: Sequence[int]

    def read(self, index: int) -> bytes:
        """As ``Pictures``."""
        with MemoryStore(self.path, read_only=True) as memory:
            rows = memory.query(
                f"SELECT jpeg FROM {self.kind}_thumbnails WHERE id = ?", (int(self.ids[index]),)
            )
        if not rows:
            raise PerceptionError("the memory holds no picture of this point")
        return bytes(rows[0][0])


@dataclass(frozen=True)
class KeptPictures:
    """Image files in memory; empty ones where there is none."""

    files: Sequence[bytes]

    def read(self, index: int) -> bytes:
        """As ``Pictures``."""
        if not self.files[index]:
            raise PerceptionError("no picture of this point was kept")
        return self.files[index]


def file_bytes(path: Path, offset: int = 0, size: int = -1) -> bytes:
    """A part of a file, by default all of it. Raises FrameError."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(size)
    except OSError as error:
        raise FrameError("unreadable_file", f"'{path}' cannot be read: {error.strerror or error}") from error


def thumbnail(data: bytes, name: str, long_side: int = LONG_SIDE) -> bytes:
    """An image file as a small JPEG; images that are smaller keep their size.

    Raises:
        FrameError: It cannot be decoded.
    """
    return encode_image(shrink_image(decode_image_file(data, name), long_side), ".jpg")
