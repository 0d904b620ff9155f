"""Tracks the detections of one camera by motion and appearance.

Our own, because of the libraries that run on NumPy 1.26 and 2 none compares appearance while an object is
in sight, takes stamps instead of counting frames, and is under a permissive licence
(docs/dependencies.md).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.detection import Detection, instance_value
from perception_contrast.tracking.association import (
    UNKNOWN_APPEARANCE_COST,
    appearance_costs,
    assign,
    label_costs,
)
from perception_contrast.tracking.camera_motion import CameraMotion
from perception_contrast.tracking.kalman_filter import BoxKalmanFilter, Floats
from perception_contrast.tracking.same_thing import leaders

UNSTAMPED_SECONDS = 0.1  # between two frames whose stamps are not known
EMBEDDING_GAIN = 0.2  # weight of the newest embedding in a track's


@dataclass(frozen=True)
class TrackSettings:
    """Settings of a tracker.

    Attributes:
        seconds: out of sight after which a track is dropped.
        confident: probability from which detections are assigned in the first round.
    """

    seconds: float = 2.0
    confident: float = 0.2


@dataclass
class _Track:
    id: str
    labels: frozenset[str]  # of all detections of the thing when it was last seen
    embedding: NDArray[np.float32] | None
    space: str
    seen: float  # seconds of the tracker's clock


class Tracker:
    """The tracks of one camera. Not for several threads at once.

    Two rounds as in ByteTrack (Zhang et al., ECCV 2022): confident detections are assigned among all tracks
    by overlap, appearance and label; the others among the remaining tracks in sight, by overlap and label,
    since the appearance of a half hidden object misleads.

    Attributes:
        settings: may be replaced between updates.
    """

    def __init__(self, settings: TrackSettings | None = None, numbers: Iterator[int] | None = None) -> None:
        """Starts without tracks.

        Args:
            settings: None: the defaults.
            numbers: of new ids; share one iterator among trackers whose ids must differ.
        """
        self.settings = settings or TrackSettings()
        self._numbers = numbers if numbers is not None else itertools.count(1)
        self._camera = CameraMotion()
        self._image_shape: tuple[int, ...] = ()
        self._stamp = 0
        self._now = 0.0
        self._previous = 0.0
        self._tracks: list[_Track] = []
        self._boxes = BoxKalmanFilter()

    def update(
        self, detections: Sequence[Detection], image: NDArray[np.uint8], stamp_ns: int
    ) -> tuple[Detection, ...]:
        """Assigns track ids to the detections of the next image.

        Args:
            detections: of the image.
            image: (H, W, 3) uint8. Another size than before drops all tracks.
            stamp_ns: nanoseconds; 0, unknown, counts as UNSTAMPED_SECONDS after the last. A stamp before
                the last one drops all tracks.

        Returns:
            The same detections in the same order, each with a track_id. Detections of several labels that
            cover the same pixels have one id (``same_thing.py``), no others share one. Ids are never reused.
        """
        self._advance(image, stamp_ns)
        leader = leaders(detections)
        chosen = np.unique(leader)
        things = [detections[index] for index in chosen.tolist()]
        labels = [
            frozenset(found.label for found, own in zip(detections, leader, strict=True) if own == index)
            for index in chosen.tolist()
        ]
        ids = dict(zip(chosen.tolist(), self._track(things, labels), strict=True))
        return tuple(
            replace(found, track_id=ids[own]) for found, own in zip(detections, leader.tolist(), strict=True)
        )

    def _track(self, things: Sequence[Detection], labels: Sequence[frozenset[str]]) -> list[str]:
        """The id of each thing's track. labels: of all detections of each thing."""
        boxes = np.array([found.box for found in things], float).reshape(-1, 4)
        rows = self._assigned(things, labels, boxes)
        known, new = np.flatnonzero(rows >= 0), np.flatnonzero(rows < 0)
        self._boxes.correct(rows[known], boxes[known])
        for index in known.tolist():
            self._update_track(self._tracks[rows[index]], things[index], labels[index])
        rows[new] = len(self._tracks) + np.arange(len(new))
        self._boxes.add(boxes[new])
        for index in new.tolist():
            self._tracks.append(self._new_track(things[index], labels[index]))
        return [self._tracks[row].id for row in rows.tolist()]

    def _advance(self, image: NDArray[np.uint8], stamp_ns: int) -> None:
        """Predicts the tracks to the time and view of an image; drops those too long out of sight."""
        known = stamp_ns and self._stamp
        passed = (stamp_ns - self._stamp) / 1e9 if known else UNSTAMPED_SECONDS
        self._previous, self._now = self._now, self._now + max(passed, 0.0)
        oldest = self._now - self.settings.seconds
        restart = passed < 0 or image.shape != self._image_shape
        self._stamp, self._image_shape = stamp_ns, image.shape
        kept = np.array([not restart and track.seen >= oldest for track in self._tracks], bool)
        self._tracks = [track for track, stays in zip(self._tracks, kept, strict=True) if stays]
        self._boxes.keep(kept)
        if self._tracks:
            self._boxes.predict(passed)
            self._boxes.warp(self._camera.step(image))
        else:
            self._camera.restart(image)

    def _assigned(
        self, detections: Sequence[Detection], labels: Sequence[frozenset[str]], boxes: Floats
    ) -> NDArray[np.intp]:
        """(m,) row of each detection's track, -1 where it has none."""
        rows = np.full(len(detections), -1, np.intp)
        if not (self._tracks and detections):
            return rows
        cost = 1 - self._boxes.overlap(boxes)
        cost += label_costs([track.labels for track in self._tracks], labels)
        confident = np.array([d.scores.probability >= self.settings.confident for d in detections])
        in_sight = np.array([track.seen >= self._previous for track in self._tracks])
        every_track = np.arange(len(self._tracks))
        first = np.flatnonzero(confident)
        assign(rows, every_track, first, cost + appearance_costs(self._tracks, detections))
        left = np.flatnonzero(in_sight & ~np.isin(every_track, rows[first]))
        assign(rows, left, np.flatnonzero(~confident), cost + UNKNOWN_APPEARANCE_COST)
        return rows

    def _new_track(self, found: Detection, labels: frozenset[str]) -> _Track:
        return _Track(self._new_id(), labels, found.embedding, found.space, self._now)

    def _new_id(self) -> str:
        """The next number whose value in an instance image no track has."""
        taken = {instance_value(track.id) for track in self._tracks}
        return next(number for number in map(str, self._numbers) if instance_value(number) not in taken)

    def _update_track(self, track: _Track, found: Detection, labels: frozenset[str]) -> None:
        track.labels, track.seen = labels, self._now
        if found.embedding is None or found.scores.probability < self.settings.confident:
            return
        if track.embedding is None or track.space != found.space:
            track.embedding, track.space = found.embedding, found.space
            return
        mixed = (1 - EMBEDDING_GAIN) * track.embedding + EMBEDDING_GAIN * found.embedding
        track.embedding = (mixed / max(float(np.linalg.norm(mixed)), 1e-12)).astype(np.float32)
