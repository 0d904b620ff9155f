"""RunningMedian: the median of the last few values, which one outlier does not move."""

from __future__ import annotations

import statistics
import threading
from collections import deque


class RunningMedian:
    """The median of the last ``size`` values. Any thread may call."""

    def __init__(self, size: int) -> None:
        """size: of the window, at least 1."""
        self._values: deque[float] = deque(maxlen=size)
        self._lock = threading.Lock()

    def add(self, value: float) -> None:
        """Takes a value in, and the oldest out where the window is full."""
        with self._lock:
            self._values.append(value)

    @property
    def value(self) -> float | None:
        """The median; None before the first value."""
        with self._lock:
            return statistics.median(self._values) if self._values else None
