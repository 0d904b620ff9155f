"""When each message of a recording is due, and what the recorded time is now."""

from __future__ import annotations

import time
from collections.abc import Callable


class PlaybackClock:
    """Maps recorded stamps (nanoseconds) to the times at which they are due (seconds of ``clock``), and back.

    Args:
        rate: Speed, 2 is twice as fast.
        max_gap: Seconds; longer gaps between messages are cut to it, 0 keeps them.
        clock: A steady clock.
    """

    def __init__(
        self, rate: float, max_gap: float = 0.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate, self._clock = rate, clock
        self._max_gap = round(max_gap * 1e9)
        self._begin = self._first = self._last = self._cut = 0

    def restart(self, first: int) -> None:
        """Starts playback now, with this stamp."""
        self._begin = self._clock()
        self._first = self._last = first
        self._cut = 0

    def due(self, stamp: int) -> float:
        """When a stamp is due; stamps must be given in order."""
        gap = stamp - self._last
        if self._max_gap and gap > self._max_gap:
            self._cut += gap - self._max_gap
        self._last = max(self._last, stamp)
        return self._begin + (stamp - self._first - self._cut) / 1e9 / self._rate

    def recorded_time(self) -> int:
        """Recorded time now, nanoseconds; never past the newest stamp given to ``due``."""
        passed = round((self._clock() - self._begin) * self._rate * 1e9)
        return min(self._first + self._cut + passed, self._last)
