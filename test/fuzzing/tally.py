"""What a run came to by target, and its table."""

from __future__ import annotations

import base64
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

GROWTH = 24 << 20
"""Bytes by which a worker may grow in the second half of a target's inputs: more is a leak."""

_FEWEST_SLICES = 8
_MOST_FILES = 64


@dataclass
class Tally:
    """Counts of one target.

    Attributes:
        kinds: Inputs by their end: "accepted" or an error's name.
        growth: Bytes of memory that each slice left in use beyond what was before it.
        slowest: Seconds and input.
        restarts: Workers that had to be ended.
    """

    kinds: Counter[str] = field(default_factory=Counter)
    findings: int = 0
    growth: list[int] = field(default_factory=list)
    slowest: tuple[float, bytes] = (0.0, b"")
    restarts: int = 0
    files: list[int] = field(default_factory=list)
    left: list[int] = field(default_factory=list)

    @property
    def inputs(self) -> int:
        return sum(self.kinds.values())

    def add(self, answer: dict[str, Any], findings: int) -> None:
        """Takes a worker's answer to one slice; an empty one if it was ended."""
        self.findings += findings
        if not answer:
            self.restarts += 1
            return
        self.kinds.update(answer["kinds"])
        self.growth.append(answer["after"] - answer["before"])
        self.files.append(answer["files"])
        self.left.append(answer["left"])
        seconds, data = answer["slowest"]
        if seconds > self.slowest[0]:
            self.slowest = (seconds, base64.b64decode(data))

    @property
    def late_growth(self) -> int:
        """Bytes of growth in the second half of the slices, when everything has been loaded."""
        return sum(self.growth[len(self.growth) // 2 :])

    def leaks(self) -> list[str]:
        """What grows, in words."""
        if len(self.growth) < _FEWEST_SLICES:
            return []
        half = len(self.growth) // 2
        said = []
        if self.late_growth > GROWTH:
            said.append(f"memory grew by {self.late_growth >> 20} MB in the second half of the inputs")
        if self.files[-1] - self.files[half] > _MOST_FILES:
            said.append(
                f"{self.files[-1] - self.files[half]} more files are open than in the middle of the run"
            )
        if self.left[-1] - self.left[half] > _MOST_FILES:
            said.append(
                f"{self.left[-1] - self.left[half]} temporary files are left since the middle of the run"
            )
        return said


def table(tallies: dict[str, Tally]) -> str:
    """A line for each target, and one for all."""
    head = ("target", "inputs", "refused", "accepted", "findings", "slowest", "growth, 1st and 2nd half")
    rows = [_row(name, one) for name, one in tallies.items()]
    total = sum(one.inputs for one in tallies.values())
    accepted = sum(one.kinds["accepted"] for one in tallies.values())
    found = sum(one.findings for one in tallies.values())
    rows.append(("all", f"{total:,}", f"{total - accepted - found:,}", f"{accepted:,}", str(found), "", ""))
    widths = [max(len(row[at]) for row in (head, *rows)) for at in range(len(head))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (head, *rows)
    ]
    return "\n".join(line.rstrip() for line in lines)


def _row(name: str, one: Tally) -> tuple[str, ...]:
    early = sum(one.growth) - one.late_growth
    return (
        name,
        f"{one.inputs:,}",
        f"{max(0, one.inputs - one.kinds['accepted'] - one.findings):,}",
        f"{one.kinds['accepted']:,}",
        str(one.findings),
        f"{one.slowest[0]:.2f} s",
        f"{early / 1e6:+.1f} MB, {one.late_growth / 1e6:+.1f} MB",
    )
