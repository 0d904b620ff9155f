"""One tracker for each camera, with ids that no two of them share."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.detection import Detection
from perception_contrast.tracking.tracker import Tracker, TrackSettings

MAX_STREAMS = 64  # cameras whose tracks are kept


class MultiCameraTracker:
    """Trackers by camera. Any thread may call."""

    def __init__(self, numbers: Iterator[int] | None = None) -> None:
        """numbers: of new ids; None: from 1 on."""
        self._numbers = numbers if numbers is not None else itertools.count(1)
        self._trackers: dict[str, Tracker] = {}
        self._lock = threading.Lock()

    def update(
        self,
        stream: str,
        detections: Sequence[Detection],
        image: NDArray[np.uint8],
        stamp_ns: int,
        settings: TrackSettings,
    ) -> tuple[Detection, ...]:
        """As ``Tracker.update``, for one camera.

        Args:
            stream: name of the camera. Beyond MAX_STREAMS, the camera that was updated least recently is
                forgotten.
            detections: of one image.
            image: (H, W, 3) uint8.
            stamp_ns: of the image.
            settings: from this update on.
        """
        with self._lock:
            tracker = self._trackers.pop(stream, None) or Tracker(numbers=self._numbers)
            self._trackers[stream] = tracker
            if len(self._trackers) > MAX_STREAMS:
                del self._trackers[next(iter(self._trackers))]
            tracker.settings = settings
            return tracker.update(detections, image, stamp_ns)
