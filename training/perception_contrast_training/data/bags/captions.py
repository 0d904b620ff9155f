"""A sidecar file of times and captions: CSV or JSON lines, written by people or other programs."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.data.bags.options import NANOSECONDS
from perception_contrast_training.data.datasets.table_rows import TEXT_COLUMNS, read_rows

_TIME, _STAMP, _UNTIL = "time", "stamp", "until"


@dataclass(frozen=True)
class Caption:
    """start, stop: nanoseconds. topic, bag: "" for every one."""

    start: int
    stop: int
    text: str
    topic: str = ""
    bag: str = ""


class Captions:
    """Captions of frames by their stamp.

    A row has ``stamp`` (nanoseconds) or ``time`` (seconds), ``caption`` or ``text``, and may have
    ``until`` (as its start), ``topic`` and ``bag`` (the recording's name). Without ``until`` it holds
    for ``window`` nanoseconds before and after. Raises PerceptionError that names the row.
    """

    def __init__(self, path: Path, window: int) -> None:
        rows = read_rows(path)
        if not rows:
            raise PerceptionError(f"captions '{path}' has no rows")
        found = [_caption(row, number, path, window) for number, row in enumerate(rows, 1)]
        self._captions = sorted(found, key=lambda one: one.start)
        self._starts = [one.start for one in self._captions]
        self._longest = max(one.stop - one.start for one in self._captions)

    def at(self, stamp: int, topic: str, bag: str) -> list[str]:
        """Texts that hold at a stamp, by the start of their time."""
        first = bisect_right(self._starts, stamp - self._longest - 1)
        near = self._captions[first : bisect_right(self._starts, stamp)]
        return [
            one.text
            for one in near
            if one.start <= stamp <= one.stop and one.topic in ("", topic) and one.bag in ("", bag)
        ]


def _caption(row: Mapping[str, Any], number: int, path: Path, window: int) -> Caption:
    lower = {str(key).strip().lower(): value for key, value in row.items()}
    text = next((str(lower[name]).strip() for name in TEXT_COLUMNS if lower.get(name)), "")
    key, scale = (_STAMP, 1) if lower.get(_STAMP) not in (None, "") else (_TIME, NANOSECONDS)
    if not text or lower.get(key) in (None, ""):
        raise PerceptionError(
            f"row {number} of captions '{path}' needs a time (seconds) or stamp (nanoseconds) and a caption; "
            f"it has {', '.join(lower)}"
        )
    start = _nanoseconds(lower[key], scale, number, path)
    until = lower.get(_UNTIL)
    topic, bag = str(lower.get("topic") or ""), str(lower.get("bag") or "")
    if until in (None, ""):
        return Caption(start - window, start + window, text, topic, bag)
    stop = _nanoseconds(until, scale, number, path)
    if stop < start:
        raise PerceptionError(f"row {number} of captions '{path}' ends at {until}, before it begins")
    return Caption(start, stop, text, topic, bag)


def _nanoseconds(value: Any, scale: int, number: int, path: Path) -> int:
    try:
        if scale == 1:
            return int(value)
        # Seconds since 1970 have more digits than a float: whole and part are read apart.
        whole, _, part = str(value).strip().partition(".")
        if whole.lstrip("-").isdecimal() and (part.isdecimal() or not part):
            sign = -1 if whole.startswith("-") else 1
            return int(whole) * NANOSECONDS + sign * int(part[:9].ljust(9, "0") or 0)
        seconds = float(value)
    except (TypeError, ValueError) as error:
        raise PerceptionError(f"row {number} of captions '{path}' has the time '{value}'") from error
    if not math.isfinite(seconds):
        raise PerceptionError(f"row {number} of captions '{path}' has the time '{value}'")
    return round(seconds * NANOSECONDS)
