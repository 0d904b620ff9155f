"""What `find` searches: the frames of image files, videos and recordings, each under a name of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

import cv2

from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.frame import Frame
from perception_contrast.images.file_listing import IMAGE_SUFFIXES, list_images, natural_order, printable
from perception_contrast.images.files import load_image
from perception_contrast.recordings.bags import BagSource
from perception_contrast.recordings.storage import is_recording
from perception_contrast.recordings.video import VideoSource


@dataclass(frozen=True)
class ReadFrame:
    """One frame of a source, or the reason why it cannot be read.

    Attributes:
        source: Name of the source.
        index: Place of the frame in it, from 0 on.
        frame: The frame; None where it cannot be read.
        error: Why not.
    """

    source: str
    index: int
    frame: Frame | None = None
    error: str = ""


@dataclass(frozen=True)
class LostNote:
    """What a source lost that is no single frame: a file of a recording, bytes, messages, a channel."""

    source: str
    text: str


class FindSource(Protocol):
    """Frames in their order.

    Attributes:
        name: Names its results; no other source of a run has it.
        path: Where it is.
        single: It is one image, which has no track.
        recorded: It is a recording, which has messages of other topics too.
    """

    @property
    def name(self) -> str: ...

    @property
    def path(self) -> Path: ...

    @property
    def single(self) -> bool: ...

    @property
    def recorded(self) -> bool: ...

    def count(self) -> int:
        """How many frames it has, 0 if that is not known."""

    def frames(self, start: int) -> Iterator[ReadFrame | LostNote]:
        """The frames from number ``start`` on. Raises PerceptionError where it cannot be read further."""


@dataclass(frozen=True)
class ImageFile:
    """An image file."""

    name: str
    path: Path
    single: bool = True
    recorded: bool = False

    def count(self) -> int:
        return 1

    def frames(self, start: int) -> Iterator[ReadFrame]:
        if start > 0:
            return
        try:
            yield ReadFrame(self.name, 0, Frame(load_image(self.path), frame_id=self.name))
        except PerceptionError as error:
            yield ReadFrame(self.name, 0, error=str(error))


@dataclass(frozen=True)
class VideoFile:
    """A video."""

    name: str
    path: Path
    single: bool = False
    recorded: bool = False

    def count(self) -> int:
        capture = cv2.VideoCapture(str(self.path.resolve()))
        count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        capture.release()
        return max(0, count)

    def frames(self, start: int) -> Iterator[ReadFrame]:
        for index, frame in enumerate(VideoSource(self.path)):
            if index >= start:
                yield ReadFrame(self.name, index, frame)


@dataclass(frozen=True)
class Recording:
    """The images on one topic of a rosbag2 recording; topic None takes the first one with colour images."""

    name: str
    path: Path
    topic: str | None = None
    single: bool = False
    recorded: bool = True

    def count(self) -> int:
        recording = BagSource(self.path)
        return recording.topics[self.image_topic(recording)].count

    def image_topic(self, recording: BagSource) -> str:
        """The topic that is searched. Raises PerceptionError if there is none."""
        return recording.image_topic(self.topic)

    def frames(self, start: int) -> Iterator[ReadFrame | LostNote]:
        recording = BagSource(self.path)
        for index, one in recording.numbered_frames(self.image_topic(recording)):
            if index >= start and isinstance(one, Frame):
                yield ReadFrame(self.name, index, one)
            elif index >= start:
                yield ReadFrame(self.name, index, error=str(one))
        for note in recording.lost:
            yield LostNote(self.name, note)


@dataclass(frozen=True)
class FoundSources:
    """What the command line names.

    Attributes:
        sources: In its order.
        left_out: Files of its folders that look like images and cannot be read, a line each with the reason.
    """

    sources: tuple[FindSource, ...]
    left_out: tuple[str, ...] = ()


def find_sources(
    paths: Iterable[Path], topic: str | None = None, leave_out: Path | None = None
) -> FoundSources:
    """The sources that the command line names.

    Args:
        paths: Image files, folders of them (searched through with their sub-folders), videos, recordings.
        topic: The image topic of recordings.
        leave_out: A folder whose files are results, not images to search.

    Raises:
        PerceptionError: A path does not exist, or a folder holds no image.
    """
    named, known, left_out = list[FindSource](), dict[str, Path](), dict[str, None]()
    for path in paths:
        for one in _listed(path.expanduser(), topic, leave_out):
            if isinstance(one, str):
                left_out[one] = None
                continue
            place = one.path.resolve()
            if one.key() in known and known[one.key()] != place:
                one = one.renamed()
            if one.key() not in known:
                known[one.key()] = place
                named.append(one.make(one.name, one.path))
    return FoundSources(tuple(named), tuple(left_out))


@dataclass(frozen=True)
class _Listed:
    """A file, the name it has unless another has it, and what makes the source of both."""

    name: str
    path: Path
    make: Callable[[str, Path], FindSource]

    def key(self) -> str:
        """Equal for sources whose results would go to the same files."""
        return str(Path(self.name).with_suffix("")) if self.make is ImageFile else self.name

    def renamed(self) -> _Listed:
        """Told apart from another of the same name by where it is, whatever else a run searches."""
        digest = hashlib.sha256(str(self.path.resolve()).encode()).hexdigest()[:8]
        name = Path(self.name)
        return replace(self, name=f"{name.with_suffix('')}-{digest}{name.suffix}")


def _listed(path: Path, topic: str | None, leave_out: Path | None) -> Iterator[_Listed | str]:
    """What a path holds; a line for each file in it that is left out."""
    if not path.exists():
        raise PerceptionError(f"'{path}' does not exist; check the path")
    base = printable(path.resolve().name) or "root"
    if is_recording(path):
        stem = base if path.is_dir() else Path(base).stem
        yield _Listed(stem, path, partial(Recording, topic=topic))
    elif path.is_dir():
        listing = list_images(path, recursive=True)
        searched = (file for file in listing.files if not _is_in(file, leave_out))
        files = sorted(searched, key=lambda file: natural_order(file.as_posix()))
        others = "".join(f"; '{name}': {reason}" for name, reason in listing.left_out.items())
        if not files:
            raise PerceptionError(
                f"folder '{path}' holds no image ({', '.join(IMAGE_SUFFIXES)}) and is no recording; "
                f"name videos one by one{others}"
            )
        for name, reason in listing.left_out.items():
            yield f"{path / name}: {reason}"
        for file in files:
            yield _Listed(f"{base}/{file.relative_to(path).as_posix()}", file, ImageFile)
    elif path.suffix.lower() in IMAGE_SUFFIXES:
        yield _Listed(base, path, ImageFile)
    else:
        yield _Listed(base, path, VideoFile)


def _is_in(file: Path, folder: Path | None) -> bool:
    return folder is not None and folder.resolve() in file.resolve().parents
