"""How often something happens, and how long it takes, over the last few seconds."""

from __future__ import annotations

import statistics
from collections import deque

WINDOW_SECONDS = 5.0
MOST = 1024


class Rate:
    """Counts events of the last WINDOW_SECONDS."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=MOST)

    def add(self, now: float) -> None:
        """An event. now: monotonic seconds."""
        self._times.append(now)

    def hertz(self, now: float) -> float:
        """Events a second; 0 without two of them."""
        while self._times and now - self._times[0] > WINDOW_SECONDS:
            self._times.popleft()
        span = now - self._times[0] if self._times else 0.0
        return (len(self._times) - 1) / span if len(self._times) > 1 and span > 0 else 0.0

    def silence(self, now: float) -> float:
        """Seconds since the last event; infinite before the first of the window."""
        return now - self._times[-1] if self._times else float("inf")


class Durations:
    """The median of the last values, in milliseconds.

    Args:
        size: How many.
    """

    def __init__(self, size: int = 64) -> None:
        self._values: deque[float] = deque(maxlen=size)

    def add(self, value: float) -> None:
        """Takes a value in."""
        self._values.append(value)

    def median(self) -> float | None:
        """None before the first value."""
        return round(statistics.median(self._values), 1) if self._values else None
