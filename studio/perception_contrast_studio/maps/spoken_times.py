"""Times as people say them: "3 minutes ago"."""

from __future__ import annotations

from datetime import datetime

_NANOSECONDS = 1_000_000_000
# Clocks that begin at 0, as a simulation's, count from 1970.
_LEAST_WALL_TIME = 1_000_000_000 * _NANOSECONDS
_UNITS = ((86400.0 * 365, "year"), (86400.0, "day"), (3600.0, "hour"), (60.0, "minute"), (1.0, "second"))
_NOW = 2.0  # seconds


def ago(stamp: int, now: int) -> str:
    """How long before ``now`` a time was.

    Args:
        stamp: Nanoseconds; 0 for never.
        now: Nanoseconds of the same clock.
    """
    if stamp <= 0:
        return "at an unknown time"
    seconds = (now - stamp) / _NANOSECONDS
    if abs(seconds) < _NOW:
        return "just now"
    size, name = next((unit for unit in _UNITS if abs(seconds) >= unit[0]), _UNITS[-1])
    count = int(abs(seconds) // size)
    words = f"{count} {name}{'s' if count != 1 else ''}"
    return f"{words} ago" if seconds > 0 else f"in {words}"


def local(stamp: int) -> str:
    """A stamp as a date with time in local time; of a clock that begins at 0, its seconds."""
    if stamp <= 0:
        return "never"
    if stamp < _LEAST_WALL_TIME:
        return f"second {stamp / _NANOSECONDS:.1f}"
    return datetime.fromtimestamp(stamp / _NANOSECONDS).strftime("%Y-%m-%d %H:%M:%S")


def is_wall_time(stamp: int) -> bool:
    """Whether a stamp is of a clock that tells dates."""
    return stamp >= _LEAST_WALL_TIME
