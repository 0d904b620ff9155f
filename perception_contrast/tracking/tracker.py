"""Detections of one thing keep one id, by where it should be by now and by what it looks like.

Our own, because of the libraries that run on NumPy 1.26 and 2 none weighs looks while a thing is in sight,
takes stamps instead of counting frames, and is under a permissive licence (docs/dependencies.md).
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from perception_contrast.core.arrays import Float64Array
from perception_contrast.core.detection import Detection
from perception_contrast.tracking.camera_motion import CameraMotion
from perception_contrast.tracking.kalman_filter import BoxMotion

UNSTAMPED_SECONDS = 0.1  # between two frames whose stamps are not known
OTHER_LABEL = 0.4  # what a change of name costs, beside place and look of at most 1 each
MOST_COST = 1.0  # of a pair; from here on they are two things
UNKNOWN_LOOK = 0.3  # cost of a look that cannot be compared
NEW_LOOK = 0.2  # share of the newest look in what is remembered
MOST_STREAMS = 64  # cameras that are remembered


@dataclass(frozen=True)
class TrackSettings:
    """seconds: out of sight, with the id kept. confident: probability from which detections choose first."""

    seconds: float = 2.0
    confident: float = 0.2


@dataclass
class _Track:
    id: str
    label: str
    embedding: NDArray[np.float32] | None
    space: str
    seen: float


class Tracker:
    """The tracks of one camera. Not for several threads at once.

    Two rounds as in ByteTrack (Zhang et al., ECCV 2022): confident detections choose among all tracks
    by place, look and label; the others take what is left of the tracks in sight, by place and label,
    for the look of a thing that is half hidden misleads. A pair is worth less than two strangers from
    a cost of MOST_COST on, and the assignment is the cheapest of all (Kuhn, 1955).
    """

    def __init__(self, settings: TrackSettings | None = None, numbers: Iterator[int] | None = None) -> None:
        """numbers: of new ids; share one iterator among trackers whose ids must differ."""
        self.settings = settings or TrackSettings()
        self._numbers = numbers if numbers is not None else itertools.count(1)
        self._camera = CameraMotion()
        self._shape: tuple[int, ...] = ()
        self._stamp = 0
        self._now = 0.0
        self._previous = 0.0
        self._tracks: list[_Track] = []
        self._motion = BoxMotion()

    def update(
        self, detections: Sequence[Detection], image: NDArray[np.uint8], stamp_ns: int
    ) -> tuple[Detection, ...]:
        """The same detections in the same order, each with a track_id that no other of them has.

        image: (H, W, 3) uint8, what they were found in. stamp_ns: nanoseconds; 0, unknown, counts
        as UNSTAMPED_SECONDS after the last. A stamp before the last, or an image of another size,
        starts anew; ids are never used again.
        """
        self._advance(image, stamp_ns)
        boxes = np.array([found.box for found in detections], float).reshape(-1, 4)
        rows = self._assigned(detections, boxes)
        known, new = np.flatnonzero(rows >= 0), np.flatnonzero(rows < 0)
        self._motion.correct(rows[known], boxes[known])
        for index in known.tolist():
            self._remember(self._tracks[rows[index]], detections[index])
        rows[new] = len(self._tracks) + np.arange(len(new))
        self._motion.add(boxes[new])
        self._tracks += [self._begun(detections[index]) for index in new.tolist()]
        return tuple(
            replace(found, track_id=self._tracks[row].id) for found, row in zip(detections, rows, strict=True)
        )

    def _advance(self, image: NDArray[np.uint8], stamp_ns: int) -> None:
        """Brings the tracks to the time and view of an image; forgets what is too long out of sight."""
        known = stamp_ns and self._stamp
        passed = (stamp_ns - self._stamp) / 1e9 if known else UNSTAMPED_SECONDS
        self._previous, self._now = self._now, self._now + max(passed, 0.0)
        oldest = self._now - self.settings.seconds
        anew = passed < 0 or image.shape != self._shape
        self._stamp, self._shape = stamp_ns, image.shape
        kept = np.array([not anew and track.seen >= oldest for track in self._tracks], bool)
        self._tracks = [track for track, stays in zip(self._tracks, kept, strict=True) if stays]
        self._motion.keep(kept)
        if self._tracks:
            self._motion.predict(passed)
            self._motion.warp(self._camera.step(image))
        else:
            self._camera.look(image)

    def _assigned(self, detections: Sequence[Detection], boxes: Float64Array) -> NDArray[np.intp]:
        """(m,) row of each detection's track, -1 where it has none."""
        rows = np.full(len(detections), -1, np.intp)
        if not (self._tracks and detections):
            return rows
        place = 1 - self._motion.overlap(boxes)
        labels = [[track.label != found.label for found in detections] for track in self._tracks]
        place += OTHER_LABEL * np.array(labels)
        sure = np.array([d.scores.probability >= self.settings.confident for d in detections])
        in_sight = np.array([track.seen >= self._previous for track in self._tracks])
        everyone = np.arange(len(self._tracks))
        first = np.flatnonzero(sure)
        _pair(rows, everyone, first, place + _unlikeness(self._tracks, detections))
        left = np.flatnonzero(in_sight & ~np.isin(everyone, rows[first]))
        _pair(rows, left, np.flatnonzero(~sure), place + UNKNOWN_LOOK)
        return rows

    def _begun(self, found: Detection) -> _Track:
        return _Track(str(next(self._numbers)), found.label, found.embedding, found.space, self._now)

    def _remember(self, track: _Track, found: Detection) -> None:
        track.label, track.seen = found.label, self._now
        if found.embedding is None or found.scores.probability < self.settings.confident:
            return
        if track.embedding is None or track.space != found.space:
            track.embedding, track.space = found.embedding, found.space
            return
        mixed = (1 - NEW_LOOK) * track.embedding + NEW_LOOK * found.embedding
        track.embedding = (mixed / max(float(np.linalg.norm(mixed)), 1e-12)).astype(np.float32)


def _pair(
    rows: NDArray[np.intp], tracks: NDArray[np.intp], detections: NDArray[np.intp], cost: Float64Array
) -> None:
    """Writes into ``rows`` which of ``tracks`` each of ``detections`` is; cost: (n, m) of all of them."""
    few = np.minimum(cost[np.ix_(tracks, detections)], MOST_COST)
    for row, column in zip(*linear_sum_assignment(few), strict=True):
        if few[row, column] < MOST_COST:
            rows[detections[column]] = tracks[row]


def _unlikeness(tracks: Sequence[_Track], detections: Sequence[Detection]) -> Float64Array:
    """(n, m): 1 less the cosine of two looks of one space, UNKNOWN_LOOK where they are not comparable."""
    cost = np.full((len(tracks), len(detections)), UNKNOWN_LOOK)
    for space in {found.space for found in detections} - {""}:
        rows, ours = _looks(tracks, space)
        columns, theirs = _looks(detections, space)
        if rows and columns:
            cost[np.ix_(rows, columns)] = 1 - np.clip(np.stack(ours) @ np.stack(theirs).T, 0, 1)
    return np.asarray(np.nan_to_num(cost, nan=UNKNOWN_LOOK))


def _looks(things: Iterable[_Track | Detection], space: str) -> tuple[list[int], list[NDArray[np.float32]]]:
    """Places in ``things`` and vectors of those that have one in ``space``."""
    found = [(k, t.embedding) for k, t in enumerate(things) if t.space == space and t.embedding is not None]
    return [k for k, _ in found], [vector for _, vector in found]


class Trackers:
    """A tracker for each camera; no two things have the same id. Any thread may call."""

    def __init__(self, numbers: Iterator[int] | None = None) -> None:
        self._numbers = numbers if numbers is not None else itertools.count(1)
        self._streams: dict[str, Tracker] = {}
        self._lock = threading.Lock()

    def update(
        self,
        stream: str,
        detections: Sequence[Detection],
        image: NDArray[np.uint8],
        stamp_ns: int,
        settings: TrackSettings,
    ) -> tuple[Detection, ...]:
        """As ``Tracker.update``. stream: which camera; of many, the one not seen for longest is forgotten."""
        with self._lock:
            tracker = self._streams.pop(stream, None) or Tracker(numbers=self._numbers)
            self._streams[stream] = tracker
            if len(self._streams) > MOST_STREAMS:
                del self._streams[next(iter(self._streams))]
            tracker.settings = settings
            return tracker.update(detections, image, stamp_ns)
