"""Frames of data sets, videos and recordings, as one kind of source."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any

import cv2

from perception_contrast.cli.find.read_ahead import read_ahead
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.frame import Frame
from perception_contrast.recordings.bags import BagSource
from perception_contrast.recordings.storage import storage_files
from perception_contrast.recordings.video import VideoSource
from perception_contrast_training.data.datasets.open_dataset import open_dataset
from perception_contrast_training.data.datasets.subset import image_names, left_out_files
from perception_contrast_training.embedding.frame_items import FrameItem

_READERS = 4  # threads that decode images; OpenCV holds no lock of Python's
_AHEAD = 32  # frames decoded before they are asked for


@dataclass(frozen=True)
class DatasetFrames:
    """Images with random access: a folder or .zip, a table, a data set on disk or in a bucket.

    Attributes:
        part: Only frames that ``data split`` put there; "" for all.
    """

    name: str
    place: str
    part: str = ""
    kind: str = "dataset"
    sequential: bool = False

    def count(self) -> int:
        return len(_dataset(self.place, self.part).images)

    def identity(self) -> dict[str, str | int]:
        opened = _dataset(self.place, self.part)
        digest = blake2b("\n".join(opened.names).encode(errors="surrogateescape"), digest_size=8)
        return {
            "name": self.name, "place": self.place, "kind": self.kind, "part": self.part,
            "frames": len(opened.names), "names": digest.hexdigest(),
        }  # fmt: skip

    def frames(self, start: int, stop: int | None) -> Iterator[FrameItem]:
        opened = _dataset(self.place, self.part)
        numbers = iter(range(start, min(len(opened.names), stop if stop is not None else len(opened.names))))
        with ThreadPoolExecutor(_READERS, "images") as pool:
            waiting = [pool.submit(opened.item, number) for number in islice(numbers, _AHEAD)]
            try:
                while waiting:
                    yield waiting.pop(0).result()
                    waiting += [pool.submit(opened.item, number) for number in islice(numbers, 1)]
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def lost(self) -> tuple[str, ...]:
        return left_out_files(_dataset(self.place, self.part).images)


@dataclass
class _Dataset:
    """An opened data set. images: any of ``open_dataset``. names: of its images, in order."""

    images: Any
    names: list[str]
    columns: dict[str, list[Any]] = field(default_factory=dict)

    def item(self, number: int) -> FrameItem:
        label = self._label(number)
        topic, frame_id = (str(self.columns[name][number]) if name in self.columns else "" for name in _SAID)
        try:
            sample = self.images[number]
        except PerceptionError as error:
            reason = " ".join(str(error).split())
            return FrameItem(number, self.names[number], error=reason, topic=topic, label=label)
        image = sample["image"].permute(1, 2, 0).numpy()
        stamp = int(sample["stamp"])
        frame = Frame(image, max(stamp, 0), frame_id)
        return FrameItem(number, self.names[number], frame, topic=topic, stamp=stamp, label=label)

    def _label(self, number: int) -> str:
        labels = getattr(self.images, "labels", None)
        if labels is None or not 0 <= labels[number] < len(self.images.classes):
            return ""
        return str(self.images.classes[labels[number]])


_SAID = ("topic", "frame_id")


@lru_cache(maxsize=4)
def _dataset(place: str, part: str) -> _Dataset:
    """Opened once in each process."""
    images: Any = open_dataset(place, part=part or None, duplicates=True)
    rows: Any = getattr(images, "rows", None)
    known = () if rows is None else [name for name in _SAID if name in rows.column_names]
    columns = {name: rows[name].to_pylist() for name in known}
    return _Dataset(images, image_names(images), columns)


@dataclass(frozen=True)
class VideoFrames:
    """A video file."""

    name: str
    place: str
    kind: str = "video"
    sequential: bool = True

    def count(self) -> int:
        capture = cv2.VideoCapture(str(Path(self.place).resolve()))
        count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        capture.release()
        return max(0, count)

    def identity(self) -> dict[str, str | int]:
        size = Path(self.place).stat().st_size
        return {"name": self.name, "place": self.place, "kind": self.kind, "bytes": size}

    def frames(self, start: int, stop: int | None) -> Iterator[FrameItem]:
        frames = islice(VideoSource(self.place).frames(start), None if stop is None else max(0, stop - start))
        for index, frame in enumerate(read_ahead(frames, _AHEAD), start):
            yield FrameItem(index, f"{index:08d}", frame, stamp=frame.stamp)

    def lost(self) -> tuple[str, ...]:
        return ()


@dataclass(frozen=True)
class RecordingFrames:
    """The images on one topic of a rosbag2 recording."""

    name: str
    place: str
    topic: str
    kind: str = "recording"
    sequential: bool = True
    _lost: list[str] = field(default_factory=list, compare=False, repr=False)

    def count(self) -> int:
        return BagSource(self.place).topics[self.topic].count

    def identity(self) -> dict[str, str | int]:
        size = sum(file.stat().st_size for file in storage_files(Path(self.place)))
        return {
            "name": self.name, "place": self.place, "kind": self.kind, "topic": self.topic, "bytes": size,
        }  # fmt: skip

    def frames(self, start: int, stop: int | None) -> Iterator[FrameItem]:
        recording = BagSource(self.place)
        numbered = recording.numbered_frames(self.topic, start)
        most = None if stop is None else max(0, stop - start)
        for index, one in read_ahead(islice(numbered, most), _AHEAD):
            key = f"{index:08d}"
            if isinstance(one, Frame):
                yield FrameItem(index, key, one, topic=self.topic, stamp=one.stamp)
            else:
                yield FrameItem(index, key, error=" ".join(str(one).split()), topic=self.topic)
        self._lost[:] = recording.lost

    def lost(self) -> tuple[str, ...]:
        return tuple(self._lost)
