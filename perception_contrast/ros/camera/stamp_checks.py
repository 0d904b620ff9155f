"""What stamps tell of a camera: unset ones, ones from the future, and time that jumps back. No ROS."""

from __future__ import annotations

import threading
from collections import Counter

# A later frame with a stamp this much earlier is a bag that loops, not two frames out of order.
JUMP_NS = 500_000_000
FUTURE_NS = 200_000_000


class Stamps:
    """Looks at each frame's stamp. Any thread may call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0
        self._counts: Counter[str] = Counter()

    @property
    def counts(self) -> dict[str, int]:
        """``zero``, ``future`` and ``jumps_back``, each 0 or more."""
        with self._lock:
            return {name: self._counts[name] for name in ("zero", "future", "jumps_back")}

    def see(self, stamp: int, now: int) -> bool:
        """True if time has jumped back. stamp, now: nanoseconds; now 0 is not known yet (no /clock)."""
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
