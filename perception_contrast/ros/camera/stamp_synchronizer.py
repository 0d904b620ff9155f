"""Images with the depth and calibration of the same moment. Knows no ROS: messages are anything.

Exact stamps first, then the nearest within a slop. An image waits for what is still to come, but never
longer than it may, and never for a topic that is silent.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

KEPT = 16
WAITING = 4
ALIVE_SECONDS = 1.0


@dataclass(frozen=True)
class Synchronized:
    """An image, what was found to go with it (topic to message), and when it came (monotonic seconds)."""

    image: Any
    stamp: int
    arrived: float
    found: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class _Stream:
    """One topic besides the images. steady: any message of it is better than none (a calibration)."""

    steady: bool
    messages: deque[tuple[int, Any]] = field(default_factory=lambda: deque(maxlen=KEPT))
    last: float = float("-inf")

    def find(self, stamp: int, slop: int) -> tuple[Any, str]:
        """What goes with a stamp, and how it was found; (None, "missing") without."""
        if not self.messages:
            return None, "missing"
        nearest, message = min(self.messages, key=lambda one: abs(one[0] - stamp))
        if nearest == stamp:
            return message, "exact"
        if abs(nearest - stamp) <= slop:
            return message, "near"
        if self.steady:
            return self.messages[-1][1], "older"
        return None, "missing"

    def may_come(self, stamp: int, now: float) -> bool:
        """True while the topic is alive and has not passed this stamp: topics come in order."""
        return now - self.last <= ALIVE_SECONDS and all(one < stamp for one, _ in self.messages)


class StampSynchronizer:
    """Any thread may call; ``emit`` is called with each image once, in the thread that completed it.

    streams: name to whether it is steady. slop: nanoseconds. patience: seconds that an image may wait.
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
        self._streams = {name: _Stream(steady) for name, steady in streams.items()}
        self._waiting: deque[Synchronized] = deque()
        self._lock = threading.RLock()
        self._outcomes: Counter[str] = Counter()
        self.slop, self.patience = slop, patience

    @property
    def outcomes(self) -> dict[str, int]:
        """``<stream>/exact|near|older|missing``: how each image's was found."""
        with self._lock:
            return dict(self._outcomes)

    def image(self, message: Any, stamp: int, now: float) -> None:
        with self._lock:
            self._waiting.append(Synchronized(message, stamp, now))
            self._release(now)

    def other(self, name: str, message: Any, stamp: int, now: float) -> None:
        """A message of one of the other topics."""
        with self._lock:
            stream = self._streams[name]
            stream.messages.append((stamp, message))
            stream.last = now
            self._release(now)

    def expire(self, now: float) -> None:
        """Lets go what has waited long enough; call it now and then."""
        with self._lock:
            self._release(now)

    def clear(self) -> None:
        """Forgets everything: time has jumped, or nobody listens any more. A calibration stays."""
        with self._lock:
            self._waiting.clear()
            for stream in self._streams.values():
                if not stream.steady:
                    stream.messages.clear()
                stream.last = float("-inf")

    def _release(self, now: float) -> None:
        while self._waiting and (len(self._waiting) > WAITING or not self._waits(self._waiting[0], now)):
            held = self._waiting.popleft()
            found = {}
            for name, stream in self._streams.items():
                message, how = stream.find(held.stamp, self.slop)
                self._outcomes[f"{name}/{how}"] += 1
                if message is not None:
                    found[name] = message
            self._emit(Synchronized(held.image, held.stamp, held.arrived, found))

    def _waits(self, held: Synchronized, now: float) -> bool:
        return now - held.arrived < self.patience and any(
            stream.may_come(held.stamp, now) for stream in self._streams.values()
        )
