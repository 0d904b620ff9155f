"""Measurements of a demo run, and the report of them. Times are seconds of one steady clock."""

from __future__ import annotations

import json
import math
import os
import platform
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from perception_contrast.cli.demo.demo_graph import usable_cores
from perception_contrast.cli.demo.process_load import ProcessLoad
from perception_contrast.core.cache import atomic_write

FORMAT = 2
_RECENT = 50  # messages that a live rate is taken over
_NODE_COUNTS = (
    "state",
    "frames/in",
    "frames/out",
    "frames/replaced",
    "frames/malformed",
    "worker/errors",
    "worker/last_error",
    "vocabulary/version",
)
# Stages that are no part of the stage "process": what stands around it, and sums.
_AROUND = ("wait", "decode", "process", "publish", "total", "stamp_to_published")
_PENDING = 1000  # frames that may wait for their result before the oldest counts as lost


def percentiles(values: Iterable[float]) -> dict[str, float | None]:
    """p50 and p95 (linear interpolation), None where there is no value."""
    known = np.fromiter(values, float)
    if known.size == 0:
        return {"p50": None, "p95": None}
    return {f"p{q}": round(float(np.percentile(known, q)), 2) for q in (50, 95)}


def _number(text: str) -> float | str:
    """A finite number as a number, whole ones as integers; else the text."""
    try:
        value = float(text)
    except ValueError:
        return text
    if not math.isfinite(value):
        return text
    return int(value) if value.is_integer() else value


@dataclass(frozen=True)
class SeenObject:
    """One detection. box: x_min, y_min, x_max, y_max in pixels."""

    label: str
    score: float
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class _WaitingFrame:
    """stamp: nanoseconds. arrived: seconds."""

    stamp: int
    arrived: float


@dataclass
class TopicCount:
    """Messages of one topic."""

    type: str
    counted: bool = True
    count: int = 0
    size: int = 0
    times: deque[float] = field(default_factory=lambda: deque(maxlen=_RECENT))

    def add(self, now: float, size: int) -> None:
        self.count += 1
        self.size = size
        self.times.append(now)

    def mean_rate(self, duration: float) -> float | None:
        """Messages a second over the whole run; None for what nobody counted."""
        return round(self.count / max(duration, 1e-9), 2) if self.counted else None

    def recent_rate(self, now: float) -> float:
        """Messages a second over the newest ones; falls to 0 when the topic goes silent."""
        if len(self.times) < 2:
            return 0.0
        return (len(self.times) - 1) / max(now - self.times[0], 1e-9)


@dataclass
class LabelCount:
    """Detections of one label."""

    count: int = 0
    frames: int = 0
    score_sum: float = 0.0


class Measurements:
    """Counts everything from the first result on; the frames before it met a node that was still loading.

    stamped_live: the stamps are this machine's clock now, so that latency runs from stamp to result;
    otherwise (recorded stamps) it runs from the frame's arrival here to its result's arrival here.
    """

    def __init__(self, *, stamped_live: bool) -> None:
        self.stamped_live = stamped_live
        self.started: float | None = None
        self.last_result: float | None = None
        self.frames_out = 0
        self.dropped = 0
        self.latencies_ms: list[float] = []
        self.stages_ms: dict[str, dict[str, float | None]] = {}
        self.topics: dict[str, TopicCount] = {}
        self.labels: dict[str, LabelCount] = {}
        self.newest: tuple[SeenObject, ...] = ()
        self.models: dict[str, dict[str, str]] = {}
        self.node: dict[str, float | str] = {}
        self.loads: dict[str, ProcessLoad] = {}
        self._waiting: deque[_WaitingFrame] = deque()

    @property
    def frames_in(self) -> int:
        """Frames with a result, dropped ones, and those under way."""
        return self.frames_out + self.dropped + len(self._waiting)

    def watch(self, topic: str, type_name: str, *, counted: bool = True) -> None:
        """Lists a topic even if no message ever comes; counted: whether its messages are counted."""
        self.topics.setdefault(topic, TopicCount(type_name, counted=counted))

    def message(self, topic: str, type_name: str, now: float, size: int) -> None:
        """A message of any topic; size in bytes."""
        self.topics.setdefault(topic, TopicCount(type_name)).add(now, size)

    def frame(self, stamp: int, now: float) -> None:
        """The source sent a frame; stamp in nanoseconds."""
        self._waiting.append(_WaitingFrame(stamp, now))
        if self.started is None:
            while len(self._waiting) > _PENDING:
                self._waiting.popleft()
        elif len(self._waiting) > _PENDING:
            self._waiting.popleft()
            self.dropped += 1

    def node_report(self, values: Mapping[str, str]) -> None:
        """Keys and values of perception_node's diagnostics."""
        for key, value in values.items():
            group, _, rest = key.partition("/")
            if group in ("model", "space"):
                self.models.setdefault(rest, {})[group] = value
            elif group == "latency_ms":
                stage, _, quantile = rest.rpartition("/")
                # The node measures end to end too, but only until it publishes.
                name = "stamp_to_published" if stage == "end_to_end" else stage
                self.stages_ms.setdefault(name, {})[quantile] = float(value)
            elif key in _NODE_COUNTS or group == "malformed":
                self.node[key] = _number(value)

    def processor_time(self, name: str, now: float, seconds: float | None) -> None:
        """A reading of a process's ``processor_seconds``; before the first result it counts as nothing."""
        if self.started is None or seconds is None:
            return
        self.loads.setdefault(name, ProcessLoad(now, seconds)).read(now, seconds)

    def stage_shares(self) -> dict[str, float]:
        """Stage to its share of the processing of a frame, by medians; empty while that is not known."""
        whole = self.stages_ms.get("process", {}).get("p50")
        if not whole:
            return {}
        return {
            name: round(median / whole, 4)
            for name, row in self.stages_ms.items()
            if name not in _AROUND and (median := row.get("p50")) is not None
        }

    def result(self, stamp: int, now: float, wall_ns: int, seen: Sequence[SeenObject]) -> None:
        """The detections of the frame with this stamp arrived; wall_ns: the clock that live stamps use."""
        first = self.started is None
        if first:
            self.started = now
            for topic in self.topics.values():
                topic.count = 0
        self.last_result = now
        arrival = self._take(stamp, first=first)
        if self.stamped_live:
            self.latencies_ms.append((wall_ns - stamp) / 1e6)
        elif arrival is not None:
            self.latencies_ms.append((now - arrival) * 1e3)
        self.frames_out += 1
        self.newest = tuple(seen)
        for label in {s.label for s in seen}:
            self.labels.setdefault(label, LabelCount()).frames += 1
        for one in seen:
            self.labels[one.label].count += 1
            self.labels[one.label].score_sum += one.score

    def _take(self, stamp: int, *, first: bool) -> float | None:
        """Arrival of the frame; frames that came before it and have no result are lost.

        A looped recording repeats its stamps: the first result belongs to the newest of its stamp, for
        what came while models loaded was never looked at; the later ones to the oldest.
        """
        places = [i for i, waiting in enumerate(self._waiting) if waiting.stamp == stamp]
        if not places:
            return None
        place = places[-1] if first else places[0]
        self.dropped += 0 if first else place
        for _ in range(place):
            self._waiting.popleft()
        return self._waiting.popleft().arrived

    def elapsed(self, now: float) -> float:
        """Seconds since the first result."""
        return 0.0 if self.started is None else now - self.started

    def fps(self, now: float) -> float:
        """Results a second since the first one."""
        return max(self.frames_out - 1, 0) / max(self.elapsed(now), 1e-9)


def machine() -> dict[str, Any]:
    """Processor, cores this process may use, memory in GiB, GPUs."""
    processor = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                processor = line.split(":", 1)[1].strip()
                break
    gpus = []
    for path in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        gpus += [line.split(":", 1)[1].strip() for line in lines if line.startswith("Model")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": processor,
        "cores": usable_cores(),
        "memory_gib": round(memory, 1),
        "gpus": gpus,
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def build_report(
    measured: Measurements, now: float, *, source: str, queries: Sequence[str], lost: Sequence[str] = ()
) -> dict[str, Any]:
    """The report as JSON types; docs/demo.md describes its fields."""
    duration = measured.elapsed(now)
    frames = max(measured.frames_out, 1)
    detections = {
        label: {
            "count": found.count,
            "frames": found.frames,
            "share_of_frames": round(found.frames / frames, 4),
            "mean_score": round(found.score_sum / found.count, 4),
        }
        for label, found in sorted(measured.labels.items())
    }
    topics = {
        name: {"type": topic.type, "rate": topic.mean_rate(duration)}
        for name, topic in sorted(measured.topics.items())
    }
    basis = "stamp to result received" if measured.stamped_live else "frame received to result received"
    return {
        "format": FORMAT,
        "source": source,
        "queries": list(queries),
        "lost": list(lost),
        "duration": round(duration, 3),
        "frames_in": measured.frames_in,
        "frames_out": measured.frames_out,
        "dropped": measured.dropped,
        "fps": round(measured.fps(now), 3),
        "latency_basis": basis,
        "latency_ms": {"end_to_end": percentiles(measured.latencies_ms), **measured.stages_ms},
        "stage_shares": measured.stage_shares(),
        "processes": {
            name: {
                "cores": round(load.cores, 3),
                "share_of_machine": round(load.cores / usable_cores(), 4),
            }
            for name, load in measured.loads.items()
        },
        "detections": detections,
        "models": measured.models,
        "topics": topics,
        "node": measured.node,
        "machine": machine(),
    }


def write_report(path: Path, report: dict[str, Any]) -> None:
    """Writes JSON so that no reader sees a part of it; makes the folder."""
    atomic_write(path, (json.dumps(report, indent=2) + "\n").encode())
