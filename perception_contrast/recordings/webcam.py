"""WebcamSource: the frames of a camera of this machine."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import cv2

from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.frame import Frame


class WebcamSource:
    """A camera of this machine, through OpenCV.

    Args:
        index: Its number; 0 is /dev/video0. Raises PerceptionError if it cannot be opened.
        frame_id: REP 105 name that every frame carries.

    A frame's stamp is the system's clock in nanoseconds when it was read. Iterating never ends by itself;
    it raises PerceptionError when the camera stops.
    """

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
                yield Frame(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), time.time_ns(), self.frame_id)
        finally:
            capture.release()

    def _open(self) -> Any:
        capture = cv2.VideoCapture(self.index)
        if not capture.isOpened():
            raise PerceptionError(
                f"webcam {self.index} cannot be opened; see `ls /dev/video*`, and be a member of group video"
            )
        return capture
