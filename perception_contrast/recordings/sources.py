"""Where frames come from without ROS: videos, folders of images, webcams, recordings."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.errors import FrameError, PerceptionError
from perception_contrast.core.frame import Frame
from perception_contrast.images.files import IMAGE_SUFFIXES, load_image
from perception_contrast.recordings.bags import BagMessage, BagSource, BagTopic, OfferedQos

__all__ = [
    "BagMessage",
    "BagSource",
    "BagTopic",
    "FrameSource",
    "ImageFolderSource",
    "OfferedQos",
    "VideoSource",
    "WebcamSource",
]

_log = logging.getLogger(__name__)
_NANOSECONDS = 1_000_000_000
_USUAL_RATE = 30.0


class FrameSource(Protocol):
    """Iterating starts from the beginning each time; stamps are nanoseconds and grow."""

    def __iter__(self) -> Iterator[Frame]: ...


class VideoSource:
    """The frames of a video file, stamped with their time in it. rate: frames a second."""

    def __init__(self, path: Path | str, frame_id: str = "camera") -> None:
        self.path = Path(path)
        self.frame_id = frame_id
        if not self.path.is_file():
            raise PerceptionError(f"video '{self.path}' does not exist; check the path")
        capture = self._open()
        rate = float(capture.get(cv2.CAP_PROP_FPS))
        has_frame, _ = capture.read()
        capture.release()
        if not has_frame:
            raise PerceptionError(self._unreadable())
        self.rate = rate if 0 < rate < 1000 else _USUAL_RATE

    def __iter__(self) -> Iterator[Frame]:
        capture = self._open()
        try:
            index, last = 0, -1
            while True:
                stamp = round(float(capture.get(cv2.CAP_PROP_POS_MSEC)) * 1e6)
                has_frame, image = capture.read()
                if not has_frame:
                    return
                # Some containers give no times, or the same one twice.
                last = stamp if stamp > last else max(last + 1, round(index / self.rate * _NANOSECONDS))
                index += 1
                yield Frame(_rgb(image), last, self.frame_id)
        finally:
            capture.release()

    def _open(self) -> Any:
        capture = cv2.VideoCapture(str(self.path.resolve()))
        if not capture.isOpened():
            raise PerceptionError(self._unreadable())
        return capture

    def _unreadable(self) -> str:
        return (
            f"video '{self.path}' cannot be decoded; convert it with "
            f"`ffmpeg -i {self.path.name} -c:v libx264 {self.path.stem}_h264.mp4`"
        )


class ImageFolderSource:
    """The PNG and JPEG files of a folder in natural order (2 before 10), stamped at ``rate`` a second.

    A file that cannot be decoded is logged and left out; its time slot stays empty.
    """

    def __init__(self, path: Path | str, rate: float = 10.0, frame_id: str = "camera") -> None:
        self.path = Path(path)
        self.rate = rate
        self.frame_id = frame_id
        if not rate > 0:
            raise PerceptionError(f"rate {rate} of folder '{self.path}' must be over 0 images a second")
        if not self.path.is_dir():
            raise PerceptionError(f"folder '{self.path}' does not exist; check the path")
        self.files = tuple(sorted(_images(self.path), key=_natural))
        if not self.files:
            raise PerceptionError(f"folder '{self.path}' holds no image ({', '.join(IMAGE_SUFFIXES)})")

    def __iter__(self) -> Iterator[Frame]:
        for index, file in enumerate(self.files):
            try:
                image = load_image(file)
            except FrameError as error:
                _log.warning("%s", error)
                continue
            yield Frame(image, round(index / self.rate * _NANOSECONDS), self.frame_id)


class WebcamSource:
    """A camera of this machine by its number (0: /dev/video0), stamped with the system's clock."""

    def __init__(self, index: int = 0, frame_id: str = "camera") -> None:
        self.index = index
        self.frame_id = frame_id
        self._open().release()

    def __iter__(self) -> Iterator[Frame]:
        capture = self._open()
        try:
            while True:
                has_frame, image = capture.read()
                if not has_frame:
                    raise PerceptionError(f"webcam {self.index} gives no more images; check its cable")
                yield Frame(_rgb(image), time.time_ns(), self.frame_id)
        finally:
            capture.release()

    def _open(self) -> Any:
        capture = cv2.VideoCapture(self.index)
        if not capture.isOpened():
            raise PerceptionError(
                f"webcam {self.index} cannot be opened; see `ls /dev/video*`, and be a member of group video"
            )
        return capture


def _rgb(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    rgb: NDArray[np.uint8] = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    return rgb


def _images(folder: Path) -> Iterator[Path]:
    return (file for file in folder.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES)


def _natural(file: Path) -> list[tuple[int, str]]:
    """Sort key that takes runs of digits as numbers."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", file.name)]
