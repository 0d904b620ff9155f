"""Tracks of a source whose first part was searched by an earlier process."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

from perception_contrast.cli.find.find_journal import TrackedFrame
from perception_contrast.core.detection import Detection
from perception_contrast.core.frame import Frame
from perception_contrast.tracking.tracker import Tracker, TrackSettings


class SourceTracks:
    """Ids of one source's detections.

    A track is forgotten after some seconds out of sight, so an interrupted source goes on with the same ids
    if its last frames before the interruption are tracked again. ``first`` is the frame to begin with.
    """

    def __init__(self, seconds: float, recorded: Sequence[TrackedFrame] = ()) -> None:
        """recorded: what the earlier process wrote, in order."""
        since = recorded[-1].stamp - int(seconds * 1e9) if recorded else 0
        self._recorded = {one.index: one for one in recorded if one.stamp >= since}
        self.first = min(self._recorded, default=0)
        used = (int(number) for one in recorded for number in one.ids if number.isdecimal())
        self._numbers = itertools.count(max(used, default=0) + 1)
        self._names: dict[str, str] = {}
        self._tracker = Tracker(TrackSettings(seconds), itertools.count(1))

    def is_recorded(self, index: int) -> bool:
        """Whether a frame has its results already."""
        return index in self._recorded

    def update(self, index: int, frame: Frame, found: Sequence[Detection]) -> tuple[Detection, ...]:
        """The detections with their ids."""
        tracked = self._tracker.update(found, frame.image, frame.stamp)
        before = self._recorded.get(index)
        if before is not None and before.labels == tuple(one.label for one in tracked):
            for one, number in zip(tracked, before.ids, strict=True):
                self._names[one.track_id] = number
        if before is not None:
            return tracked
        return tuple(replace(one, track_id=self._named(one.track_id)) for one in tracked)

    def _named(self, number: str) -> str:
        if number not in self._names:
            self._names[number] = str(next(self._numbers))
        return self._names[number]
