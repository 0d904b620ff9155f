"""Checks a camera's stamps: unset ones, ones from the future, and time that jumps back. Knows no ROS."""

from __future__ import annotations

import threading
from collections import Counter

# A later frame with a stamp this much earlier is a bag that loops, not two frames out of order.
JUMP_NS = 500_000_000
FUTURE_NS = 200_000_000


class StampChecker:
    """Counts what is wrong with stamps. Any thread may call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0
        self._counts: Counter[str] = Counter()

    @property
    def counts(self) -> dict[str, int]:
        """``zero``, ``future`` and ``jumps_back``, each 0 or more."""
        with self._lock:
            return {name: self._counts[name] for name in ("zero", "future", "jumps_back")}

    def check(self, stamp: int, now: int) -> bool:
        """True if time has jumped back.

        Args:
            stamp: Of a frame, nanoseconds.
            now: Nanoseconds of the node's clock; 0 is not known yet (no /clock).
        """
        with self._lock:
            if stamp == 0:
                self._counts["zero"] += 1
                return False
            if now and stamp - now > FUTURE_NS:
                self._counts["future"] += 1
            back = bool(self._last) and self._last - stamp > JUMP_NS
            self._counts["jumps_back"] += back
            self._last = stamp
            return back
