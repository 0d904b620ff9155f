"""Finds the depth and calibration of the same moment for each image. Knows no ROS: messages are anything.

Exact stamps first, then the nearest within a slop. An image waits for messages that are still to come, but
never longer than it may, and never for a topic that is silent.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

KEPT_MESSAGES = 16
MAX_WAITING = 4
ALIVE_SECONDS = 1.0


@dataclass(frozen=True)
class Synchronized:
    """An image and the messages of other topics that go with it.

    Attributes:
        image: The message.
        stamp: Of the image, nanoseconds.
        arrived: When the image came, monotonic seconds.
        matched: Name of a topic to its message.
    """

    image: Any
    stamp: int
    arrived: float
    matched: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Stamped:
    stamp: int
    message: Any


@dataclass(frozen=True)
class _Match:
    """outcome: exact, near, older, or missing, where message is None."""

    message: Any
    outcome: str


@dataclass
class _Stream:
    """One topic besides the images. is_static: any message of it is better than none (a calibration)."""

    is_static: bool
    messages: deque[_Stamped] = field(default_factory=lambda: deque(maxlen=KEPT_MESSAGES))
    last_arrival: float = float("-inf")

    def match(self, stamp: int, slop: int) -> _Match:
        """The message for a stamp."""
        if not self.messages:
            return _Match(None, "missing")
        nearest = min(self.messages, key=lambda one: abs(one.stamp - stamp))
        if nearest.stamp == stamp:
            return _Match(nearest.message, "exact")
        if abs(nearest.stamp - stamp) <= slop:
            return _Match(nearest.message, "near")
        if self.is_static:
            return _Match(self.messages[-1].message, "older")
        return _Match(None, "missing")

    def may_come(self, stamp: int, now: float) -> bool:
        """True while the topic is alive and has not passed this stamp: topics come in order."""
        alive = now - self.last_arrival <= ALIVE_SECONDS
        return alive and all(one.stamp < stamp for one in self.messages)


class StampSynchronizer:
    """Any thread may call.

    Args:
        emit: Called with each image once, in the thread that completed it.
        streams: Name of each other topic to whether it is static, as a calibration is.
        slop: Most nanoseconds between the stamps of messages that go together.
        patience: Most seconds that an image waits.
    """

    def __init__(
        self,
        emit: Callable[[Synchronized], None],
        streams: Mapping[str, bool],
        *,
        slop: int,
        patience: float,
    ) -> None:
        self._emit = emit
        self._streams = {name: _Stream(is_static) for name, is_static in streams.items()}
        self._waiting: deque[Synchronized] = deque()
        self._lock = threading.RLock()
        self._outcomes: Counter[str] = Counter()
        self.slop, self.patience = slop, patience

    @property
    def outcomes(self) -> dict[str, int]:
        """``<stream>/exact|near|older|missing``: counts of how each image's message was found."""
        with self._lock:
            return dict(self._outcomes)

    def add_image(self, message: Any, stamp: int, now: float) -> None:
        """stamp: nanoseconds. now: monotonic seconds."""
        with self._lock:
            self._waiting.append(Synchronized(message, stamp, now))
            self._release(now)

    def add_message(self, name: str, message: Any, stamp: int, now: float) -> None:
        """Adds a message of one of the other topics."""
        with self._lock:
            stream = self._streams[name]
            stream.messages.append(_Stamped(stamp, message))
            stream.last_arrival = now
            self._release(now)

    def expire(self, now: float) -> None:
        """Emits images that have waited long enough; to be called by a timer."""
        with self._lock:
            self._release(now)

    def clear(self) -> None:
        """Forgets all images and messages but static ones: time has jumped, or the input was closed."""
        with self._lock:
            self._waiting.clear()
            for stream in self._streams.values():
                if not stream.is_static:
                    stream.messages.clear()
                stream.last_arrival = float("-inf")

    def _release(self, now: float) -> None:
        while self._waiting and (
            len(self._waiting) > MAX_WAITING or not self._must_wait(self._waiting[0], now)
        ):
            held = self._waiting.popleft()
            matched = {}
            for name, stream in self._streams.items():
                match = stream.match(held.stamp, self.slop)
                self._outcomes[f"{name}/{match.outcome}"] += 1
                if match.message is not None:
                    matched[name] = match.message
            self._emit(Synchronized(held.image, held.stamp, held.arrived, matched))

    def _must_wait(self, held: Synchronized, now: float) -> bool:
        return now - held.arrived < self.patience and any(
            stream.may_come(held.stamp, now) for stream in self._streams.values()
        )
