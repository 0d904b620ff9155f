"""Playing a recording: when each message is due, as what type and with which quality of service."""

from __future__ import annotations

import importlib
import re
import time
from collections.abc import Callable, Iterable
from importlib.machinery import PathFinder
from pathlib import Path

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

from perception_contrast.recordings.bag_messages import BagTopic, OfferedQos

_TYPE = re.compile(r"([a-z][a-z0-9_]*)/msg/([A-Z][A-Za-z0-9]*)")
_DEPTH = 10
_DEEPEST = 1000
# Recorded without its quality of service, a topic of this name was latched all the same.
_LATCHED = ("/tf_static", "/robot_description")


class Pacer:
    """Maps recorded stamps to the moments at which they are due, and back to a clock of recorded time.

    rate: speed, 2 is twice as fast. max_gap: seconds; longer silences are cut to it, 0 keeps them.
    Stamps in nanoseconds, moments in seconds of ``clock``.
    """

    def __init__(
        self, rate: float, max_gap: float = 0.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate, self._clock = rate, clock
        self._max_gap = round(max_gap * 1e9)
        self._begin = self._first = self._last = self._cut = 0

    def restart(self, first: int) -> None:
        """The pass begins now, with this stamp."""
        self._begin = self._clock()
        self._first = self._last = first
        self._cut = 0

    def due(self, stamp: int) -> float:
        """When a stamp is due; ask in the order of stamps."""
        gap = stamp - self._last
        if self._max_gap and gap > self._max_gap:
            self._cut += gap - self._max_gap
        self._last = max(self._last, stamp)
        return self._begin + (stamp - self._first - self._cut) / 1e9 / self._rate

    def recorded_time(self) -> int:
        """Recorded time now; never past the newest stamp that was asked for."""
        passed = round((self._clock() - self._begin) * self._rate * 1e9)
        return min(self._first + self._cut + passed, self._last)


def message_class(type_name: str) -> type | None:
    """The Python class of "package/msg/Type"; None where that package is not installed.

    The name comes out of a file: only a package that has a folder ``msg`` is ever imported.
    """
    match = _TYPE.fullmatch(type_name)
    if match is None:
        return None
    package, name = match.groups()
    spec = PathFinder.find_spec(package)
    folders = spec.submodule_search_locations if spec is not None else None
    if not any((Path(folder) / "msg").is_dir() for folder in folders or ()):
        return None
    try:
        return getattr(importlib.import_module(f"{package}.msg"), name, None)
    except ImportError:
        return None


def publisher_qos(topic: BagTopic) -> QoSProfile:
    """The recorded quality of service where it can be kept.

    Several publishers that disagree: reliable, and latched if any was. Deadlines, lifespans and
    liveliness are left out: the player's timing is its own.
    """
    offered = topic.qos
    latched = (
        topic.name in _LATCHED if not offered else any(q.durability == "transient_local" for q in offered)
    )
    best_effort = bool(offered) and all(q.reliability == "best_effort" for q in offered)
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=_queue(offered),
        reliability=ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


def _queue(offered: Iterable[OfferedQos]) -> int:
    depths = (q.depth if q.history != "keep_all" else _DEEPEST for q in offered)
    return min(max([_DEPTH, *depths]), _DEEPEST)
