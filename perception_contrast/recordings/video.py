"""VideoSource: the frames of a video file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2

from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.frame import Frame
from perception_contrast.recordings.base import NANOSECONDS

_USUAL_RATE = 30.0


class VideoSource:
    """The frames of a video file that OpenCV decodes.

    Args:
        path: The video. Raises PerceptionError if it is missing or cannot be decoded.
        frame_id: REP 105 name that every frame carries.

    Attributes:
        rate: Frames per second, as the file states it; 30 where it states none.

    A frame's stamp is its time in the video in nanoseconds.
    """

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
        return self.frames()

    def frames(self, start: int = 0) -> Iterator[Frame]:
        """The frames from number ``start`` on; those before it are passed over, for seeking is not exact."""
        capture = self._open()
        try:
            index, last = 0, -1
            while True:
                stamp = round(float(capture.get(cv2.CAP_PROP_POS_MSEC)) * 1e6)
                if not capture.grab():
                    return
                # Some containers give no times, or the same one twice.
                last = stamp if stamp > last else max(last + 1, round(index / self.rate * NANOSECONDS))
                index += 1
                if index <= start:
                    continue
                has_frame, image = capture.retrieve()
                if not has_frame:
                    return
                yield Frame(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), last, self.frame_id)
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
