"""From the paths and addresses of a command line to sources of frames, each under a name of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from perception_contrast.core.errors import PerceptionError
from perception_contrast.images.file_listing import IMAGE_SUFFIXES, is_image_name, printable
from perception_contrast.recordings.bags import BagSource
from perception_contrast.recordings.storage import is_recording
from perception_contrast_training.data.datasets.manifest import DESCRIPTION, MANIFEST
from perception_contrast_training.data.datasets.tables import TABLE_SUFFIXES
from perception_contrast_training.embedding.sources import DatasetFrames, RecordingFrames, VideoFrames
from perception_contrast_training.storage.lance_table import is_lance
from perception_contrast_training.storage.place import is_address

VIDEO_SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg")
Source = DatasetFrames | VideoFrames | RecordingFrames


def find_data(paths: Iterable[Path | str], topics: Sequence[str] = (), part: str = "") -> tuple[Source, ...]:
    """The sources that a command line names.

    Args:
        paths: Data sets (folders, .zip, tables, Lance tables, addresses in buckets), image files, videos,
            recordings, and folders of recordings and videos.
        topics: Image topics of recordings; all with readable colour images if empty.
        part: Of data sets that ``data split`` has split.

    Raises:
        PerceptionError: A path does not exist or holds nothing that can be read.
    """
    found: dict[str, Source] = {}
    for path in paths:
        for one in _sources(path, topics, part):
            known = found.get(one.name)
            if known is not None and known != one:
                digest = sha256(str(one.place).encode()).hexdigest()[:8]
                one = replace(one, name=f"{one.name}-{digest}")
            found[one.name] = one
    return tuple(found.values())


def _sources(given: Path | str, topics: Sequence[str], part: str) -> Iterator[Source]:
    if is_address(given):
        yield DatasetFrames(str(given).rstrip("/").rpartition("/")[2], str(given), part)
        return
    path = Path(given).expanduser().resolve()
    if not path.exists():
        raise PerceptionError(f"'{given}' does not exist; check the path")
    name, suffix = printable(path.name) or "root", path.suffix.lower()
    if is_recording(path):
        yield from _topics_of(path, topics)
    elif path.is_dir():
        yield from _in_folder(path, name, topics, part)
    elif suffix in (".zip", *TABLE_SUFFIXES, *IMAGE_SUFFIXES):
        yield DatasetFrames(name, str(path), part)
    else:
        yield VideoFrames(name, str(path))


def _in_folder(path: Path, name: str, topics: Sequence[str], part: str) -> Iterator[Source]:
    if is_lance(path) or any((path / one).is_file() for one in (MANIFEST, DESCRIPTION)):
        yield DatasetFrames(name, str(path), part)
        return
    inside = sorted(path.rglob("*"))
    recordings = [one for one in inside if one.is_dir() and is_recording(one)]
    videos = [one for one in inside if one.suffix.lower() in VIDEO_SUFFIXES and not one.name.startswith(".")]
    has_images = any(is_image_name(one.relative_to(path).as_posix()) and one.is_file() for one in inside)
    if not (has_images or recordings or videos):
        raise PerceptionError(
            f"folder '{path}' holds no images ({', '.join(IMAGE_SUFFIXES)}), videos "
            f"({', '.join(VIDEO_SUFFIXES)}) or rosbag2 recordings; check the path"
        )
    if has_images:
        yield DatasetFrames(name, str(path), part)
    for one in recordings:
        yield from _topics_of(one, topics)
    for one in videos:
        yield VideoFrames(printable(one.relative_to(path.parent).as_posix()), str(one))


def _topics_of(path: Path, topics: Sequence[str]) -> Iterator[RecordingFrames]:
    recording = BagSource(path)
    names = [recording.image_topic(one) for one in topics] or list(recording.image_topics())
    for topic in names or [recording.image_topic()]:
        yield RecordingFrames(f"{printable(path.name)}{topic}", str(path), topic)
