"""Times as people type them: "3 hours", "yesterday", "2026-05-04 10:30"."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from perception_contrast.memory.sightings import RecallError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_NAMES = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), "m"),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), "h"),
    **dict.fromkeys(("d", "day", "days"), "d"),
    **dict.fromkeys(("w", "week", "weeks"), "w"),
}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)(?:\s+ago)?")
_DAYS = {"today": 0, "yesterday": 1}
_NANOSECONDS = 1_000_000_000


def duration(text: str) -> int:
    """Nanoseconds of a span such as "90 s", "3 hours" or "2d".

    Raises:
        RecallError: It is no span.
    """
    match = _SPAN.fullmatch(text.strip().lower())
    if match is None or match[2] not in _NAMES:
        raise RecallError(f"'{text}' is no span of time; write it like '30 s', '3 hours' or '2 days'")
    return round(float(match[1]) * _UNITS[_NAMES[match[2]]] * _NANOSECONDS)


def moment(text: str, now: int) -> int:
    """A stamp, nanoseconds since 1970.

    Args:
        text: A span before now ("3 hours", "3 hours ago"), "now", "today" or "yesterday" (their beginning in
            local time), or a date with or without a time (ISO 8601, local unless it names a zone).
        now: Nanoseconds since 1970.

    Raises:
        RecallError: It is none of them.
    """
    plain = text.strip().lower()
    if plain == "now":
        return now
    if plain in _DAYS:
        today = datetime.fromtimestamp(now // _NANOSECONDS).replace(hour=0, minute=0, second=0)
        return round((today - timedelta(days=_DAYS[plain])).timestamp()) * _NANOSECONDS
    try:
        return now - duration(plain)
    except RecallError:
        pass  # a date, or nothing
    try:
        return round(datetime.fromisoformat(text.strip()).timestamp() * 1e6) * 1000
    except (ValueError, OverflowError, OSError) as error:
        raise RecallError(
            f"'{text}' is no time; write '3 hours', 'yesterday', or a date like '2026-05-04 10:30'"
        ) from error
