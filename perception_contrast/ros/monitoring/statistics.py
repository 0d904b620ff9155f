"""Counters, rates and latencies of a camera or a node, kept by several threads. Knows no ROS."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

RATE_WINDOW = 5.0
RECENT = 10.0
LATENCY_SAMPLES = 256


@dataclass(frozen=True)
class Issue:
    """The newest issue of a kind: its message and its time (seconds of the clock in use)."""

    message: str
    time: float


class Percentiles(NamedTuple):
    """Milliseconds."""

    p50: float
    p95: float


@dataclass(frozen=True)
class Snapshot:
    """State of the counters at one moment. Ages in seconds, infinite where nothing happened yet."""

    frames_in: int
    frames_out: int
    errors: int
    malformed: Mapping[str, int]
    in_hz: float
    out_hz: float
    age_in: float
    age_out: float
    recent_malformed: str
    recent_error: str
    unfamiliar: str = ""
    without_boxes: str = ""
    latency: Mapping[str, Percentiles] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)
    rescoring: Mapping[str, int] = field(default_factory=dict)


class _Arrivals:
    """Rate over the last seconds, and time since the last."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=1000)
        self.count = 0

    def add(self, now: float) -> None:
        self._times.append(now)
        self.count += 1

    def rate(self, now: float) -> float:
        recent = [t for t in self._times if now - t <= RATE_WINDOW]
        if len(recent) < 2:
            return 0.0
        return (len(recent) - 1) / max(recent[-1] - recent[0], 1e-9)

    def age(self, now: float) -> float:
        return now - self._times[-1] if self._times else float("inf")


class Statistics:
    """Counters, rates and latencies of a camera. Any thread may call."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._in, self._out = _Arrivals(), _Arrivals()
        self._errors = 0
        self._malformed: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()
        self._rescoring: Counter[str] = Counter()
        self._last_malformed: Issue | None = None
        self._last_error: Issue | None = None
        self._latency: dict[str, deque[float]] = {}
        self._unfamiliar = self._without_boxes = ""

    def frame_in(self) -> None:
        with self._lock:
            self._in.add(self._clock())

    def frame_out(self) -> None:
        with self._lock:
            self._out.add(self._clock())

    def dropped(self, reason: str) -> None:
        """Counts a frame that was not processed."""
        with self._lock:
            self._dropped[reason] += 1

    def latency(self, milliseconds: Mapping[str, float]) -> None:
        """Adds one frame's milliseconds by stage."""
        with self._lock:
            for stage, value in milliseconds.items():
                self._latency.setdefault(stage, deque(maxlen=LATENCY_SAMPLES)).append(value)

    def rescoring(self, counts: Mapping[str, int]) -> None:
        """Adds one frame's enlarged views by what became of them."""
        with self._lock:
            self._rescoring.update(counts)

    def malformed(self, reason: str, message: str) -> int:
        """Counts a malformed input; returns the count of its reason so far."""
        with self._lock:
            self._malformed[reason] += 1
            self._last_malformed = Issue(message, self._clock())
            return self._malformed[reason]

    def error(self, message: str) -> None:
        """Counts a frame that could not be processed though its data was fine."""
        with self._lock:
            self._errors += 1
            self._last_error = Issue(message, self._clock())

    def unfamiliar(self, warning: str) -> None:
        """Keeps what is to be said of images unlike the model's training images; "" once they are alike."""
        with self._lock:
            self._unfamiliar = warning

    def without_boxes(self, reason: str) -> bool:
        """Keeps why the newest frame has no 3D boxes, "" where it has; True where the one before had some."""
        with self._lock:
            is_new = bool(reason) and not self._without_boxes
            self._without_boxes = reason
            return is_new

    @property
    def in_hz(self) -> float:
        """Frames a second that arrived over the last RATE_WINDOW seconds; 0 where fewer than two did."""
        with self._lock:
            return self._in.rate(self._clock())

    def snapshot(self) -> Snapshot:
        with self._lock:
            now = self._clock()
            return Snapshot(
                frames_in=self._in.count,
                frames_out=self._out.count,
                errors=self._errors,
                malformed=dict(self._malformed),
                in_hz=self._in.rate(now),
                out_hz=self._out.rate(now),
                age_in=self._in.age(now),
                age_out=self._out.age(now),
                recent_malformed=_recent(self._last_malformed, now),
                recent_error=_recent(self._last_error, now),
                unfamiliar=self._unfamiliar,
                without_boxes=self._without_boxes,
                latency={stage: _percentiles(values) for stage, values in self._latency.items()},
                dropped=dict(self._dropped),
                rescoring=dict(self._rescoring),
            )


class Issues:
    """Issues of a node as a whole, by kind: their count and the newest message. Any thread may call."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._counts: Counter[str] = Counter()
        self._last: dict[str, Issue] = {}

    def add(self, kind: str, message: str) -> None:
        with self._lock:
            self._counts[kind] += 1
            self._last[kind] = Issue(message, self._clock())

    def clear(self, kind: str) -> None:
        """Marks a kind as resolved; its count stays."""
        with self._lock:
            self._last.pop(kind, None)

    def count(self, kind: str) -> int:
        return self._counts[kind]

    def last(self, kind: str) -> str:
        """The newest message of a kind that is not resolved, "" for none."""
        with self._lock:
            return self._last[kind].message if kind in self._last else ""

    def recent(self, kind: str) -> str:
        """As ``last``, but only for RECENT seconds."""
        with self._lock:
            return _recent(self._last.get(kind), self._clock())


def _recent(issue: Issue | None, now: float) -> str:
    return issue.message if issue is not None and now - issue.time <= RECENT else ""


def _percentiles(values: deque[float]) -> Percentiles:
    p50, p95 = np.percentile(np.fromiter(values, np.float64), (50, 95))
    return Percentiles(float(p50), float(p95))
