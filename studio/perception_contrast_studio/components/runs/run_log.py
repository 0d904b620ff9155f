"""The log of a training run, followed while it grows, in a bounded memory. Reads only."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LOG = "log.jsonl"
BUCKETS, TAIL_BUCKETS = 512, 32
TAIL_BYTES = 1 << 16
CHUNK_BYTES = 1 << 20
LONGEST_LINE = 1 << 16
STEP = "step"
Point = tuple[int, float]


class Curve:
    """A figure over the steps of a run in at most ``2 * buckets`` points.

    Each bucket of steps keeps its smallest and its largest value, so that peaks stay whatever the length of
    the run. When the buckets are used up, two neighbours become one.

    Args:
        buckets: At most so many, an even number.

    Attributes:
        last: The newest value, None before the first.
        last_step: Its step.
    """

    def __init__(self, buckets: int = BUCKETS) -> None:
        self._most = buckets
        self._width = 1
        self._buckets: dict[int, tuple[Point, Point]] = {}
        self.last: float | None = None
        self.last_step = 0

    def add(self, step: int, value: float) -> None:
        """A value of a step; steps come in order."""
        self.last, self.last_step = value, step
        self._put(step // self._width, (step, value), (step, value))
        while len(self._buckets) > self._most:
            self._halve()

    def points(self) -> list[Point]:
        """(step, value) in the order of steps."""
        found: list[Point] = []
        for number in sorted(self._buckets):
            low, high = self._buckets[number]
            found += [low] if low == high else sorted((low, high))
        return found

    def recent(self, buckets: int) -> list[float]:
        """Values of the last buckets."""
        kept = [self._buckets[number] for number in sorted(self._buckets)[-buckets:]]
        return [point[1] for low, high in kept for point in ((low,) if low == high else (low, high))]

    def __len__(self) -> int:
        return len(self._buckets)

    def _put(self, number: int, low: Point, high: Point) -> None:
        if number in self._buckets:
            old_low, old_high = self._buckets[number]
            low, high = min(old_low, low, key=_value), max(old_high, high, key=_value)
        self._buckets[number] = (low, high)

    def _halve(self) -> None:
        self._width *= 2
        old, self._buckets = self._buckets, {}
        for number, (low, high) in old.items():
            self._put(number // 2, low, high)


def _value(point: Point) -> float:
    return point[1]


@dataclass
class RunLog:
    """Follows ``log.jsonl``.

    A last line that is half written is read when it is whole. A file that was replaced or cut, as when a run
    goes on from a checkpoint, is read anew.

    Attributes:
        folder: Of the run.
        tail: Whether only the end is read, for a run among many.
        curves: By name of the figure.
        step: Of the newest line.
        lines: Read so far.
        behind: Bytes that are there and not read yet.
        changed_at: Unix seconds of the last write, 0 for no file.
        restarts: How often the file was read anew.
    """

    folder: Path
    tail: bool = False
    curves: dict[str, Curve] = field(default_factory=dict)
    step: int = 0
    lines: int = 0
    behind: int = 0
    changed_at: float = 0.0
    restarts: int = 0
    _offset: int = 0
    _file: tuple[int, int] = (0, 0)
    _rest: bytes = b""

    def poll(self, most_bytes: int = 32 * CHUNK_BYTES) -> bool:
        """Reads what is new, at most so many bytes; blocks for the time of reading.

        Returns:
            Whether anything changed.
        """
        try:
            with (self.folder / LOG).open("rb") as file:
                return self._read(file, most_bytes)
        except OSError:
            return self._forget() if self.lines else False

    def _read(self, file: Any, most_bytes: int) -> bool:
        facts = os.fstat(file.fileno())
        identity = (facts.st_dev, facts.st_ino)
        anew = self._offset > 0 and (identity != self._file or facts.st_size < self._offset)
        if anew:
            self._forget()
        self._file, self.changed_at = identity, facts.st_mtime
        if self.tail and not self._offset and facts.st_size > TAIL_BYTES:
            # What is left of the line there is no JSON, so it is left out.
            self._offset = facts.st_size - TAIL_BYTES
        file.seek(self._offset)
        end = min(facts.st_size, self._offset + most_bytes)
        while self._offset < end:
            data = file.read(min(CHUNK_BYTES, end - self._offset))
            if not data:
                break
            self._offset += len(data)
            self._take(data)
            anew = True
        self.behind = max(0, facts.st_size - self._offset)
        return anew

    def _take(self, data: bytes) -> None:
        *whole, rest = (self._rest + data).split(b"\n")
        # A line without end is no log; it must not fill the memory.
        self._rest = rest if len(rest) <= LONGEST_LINE else b""
        for line in whole:
            self._note(line)

    def _note(self, line: bytes) -> None:
        try:
            read = json.loads(line)
        except (ValueError, RecursionError):
            return
        if not isinstance(read, dict) or not isinstance(read.get(STEP), int):
            return
        self.lines += 1
        self.step = read[STEP]
        for name, value in read.items():
            if name != STEP and isinstance(value, int | float) and math.isfinite(value):
                self.curves.setdefault(name, Curve(TAIL_BUCKETS if self.tail else BUCKETS)).add(
                    self.step, float(value)
                )

    def _forget(self) -> bool:
        self.curves.clear()
        self.step = self.lines = self._offset = self.behind = 0
        self._rest, self.changed_at = b"", 0.0
        self.restarts += 1
        return True
