"""Frames in order: of a folder of images, a video file, or a recording."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.frame import Frame
from perception_contrast.images.orientation import orientation_note
from perception_contrast.recordings.bags import BagSource
from perception_contrast.recordings.storage import is_recording
from perception_contrast.recordings.video import VideoSource
from perception_contrast_training.evaluation.readers.folders import image_files
from perception_contrast_training.evaluation.readers.types import IGNORED, VOID, Skipped

VIDEO_SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".webm")


class FrameSequence:
    """Frames and, where there are any, their labels. limit: of the first frames, 0 for all.

    A folder holds images, or images/ and labels/ (label PNGs by the images' names; not every frame
    needs one). topic: of a recording; the first colour images if it is None. Raises PerceptionError.
    """

    def __init__(self, path: Path, skipped: Skipped, topic: str | None = None, limit: int = 0) -> None:
        if not path.exists():
            raise PerceptionError(f"'{path}' does not exist; check --data")
        self.path, self._skipped, self._topic = path, skipped, topic
        self._limit = limit or None
        self._files = _files(path, skipped)
        self._bag = None
        if not self._files and path.suffix.lower() not in VIDEO_SUFFIXES:
            self._bag = BagSource(path)
            self._topic = self._bag.image_topic(topic)

    def __len__(self) -> int:
        """How many frames come at most; 0 where that is not known before the end."""
        count = len(self._files)
        if self._bag is not None:
            count = self._bag.topics[self._bag.image_topic(self._topic)].count
        return min(count, self._limit) if self._limit else count

    @property
    def lost(self) -> tuple[str, ...]:
        """What of a recording could not be read, as far as it is known by now, a line for each."""
        return () if self._bag is None else self._bag.lost

    def __iter__(self) -> Iterator[tuple[str, Frame]]:
        """Names and frames; those of a recording are called by their number among all its images."""
        return islice(self._frames(), self._limit)

    def labels(self, name: str, size: tuple[int, int]) -> NDArray[np.int64] | None:
        """(H, W) numbers of the things in a frame, 0 background, IGNORED for VOID; None without labels."""
        file = self.path / "labels" / f"{name}.png"
        if not file.is_file():
            return None
        numbers = self._skipped.labels(file)
        if numbers is None:
            return None
        if numbers.shape != size:
            image = next((one for one in self._files if one.stem == name), None)
            raise PerceptionError(
                f"'{file}' is {numbers.shape[1]}x{numbers.shape[0]}, its frame {size[1]}x{size[0]}; "
                f"labels must have their image's size{'' if image is None else orientation_note(image)}"
            )
        return np.where(np.isin(numbers, VOID), IGNORED, numbers)

    def _frames(self) -> Iterator[tuple[str, Frame]]:
        if self._files:
            for file in self._files:
                image = self._skipped.image(file)
                if image is not None:
                    yield file.stem, Frame(image)
        elif self._bag is not None:
            for number, frame in self._bag.numbered_frames(self._topic):
                if isinstance(frame, Frame):
                    yield f"{number:05d}", frame
                else:
                    self._skipped.note(f"image {number} of '{self._topic}'", frame)
        else:
            for number, frame in enumerate(VideoSource(self.path)):
                yield f"{number:05d}", frame


def _files(path: Path, skipped: Skipped) -> tuple[Path, ...]:
    """Images of a folder, or none where it is a recording or no folder."""
    if not path.is_dir() or (path / "metadata.yaml").exists():
        return ()
    inside = path / "images"
    if inside.is_dir():
        return image_files(inside, skipped)
    if is_recording(path):
        return ()
    return image_files(path, skipped)
