"""What happened to a training run: begun, resumed, alarms, how it ended. Reads ``events.jsonl``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EVENTS = "events.jsonl"
MOST_BYTES = 1 << 20
BEGINNINGS = ("started", "resumed")
ENDS = ("finished", "interrupted", "failed")


@dataclass(frozen=True)
class RunEvent:
    """A line of the file.

    Attributes:
        event: "started", "resumed", "alarm", "finished", "interrupted" or "failed".
        time: Unix seconds.
        step: Steps that were done.
        about: The rest of the line.
    """

    event: str
    time: float
    step: int
    about: dict[str, Any]

    @property
    def text(self) -> str:
        """The reason of an alarm or a failure."""
        return str(self.about.get("text", ""))


def read_events(folder: Path) -> list[RunEvent]:
    """The newest events of a run, oldest first; of a long file the last megabyte."""
    try:
        with (folder / EVENTS).open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - MOST_BYTES))
            data = file.read(MOST_BYTES)
    except OSError:
        return []
    return list(_events(data))


def _events(data: bytes) -> Iterator[RunEvent]:
    for line in data.splitlines():
        try:
            read = json.loads(line)
            yield RunEvent(str(read.pop("event")), float(read.pop("time")), int(read.pop("step")), read)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue


def since_begin(events: list[RunEvent]) -> list[RunEvent]:
    """Those of the newest session: from the last "started" or "resumed" on."""
    begins = [number for number, one in enumerate(events) if one.event in BEGINNINGS]
    return events[begins[-1] :] if begins else events


def alarms_in_force(events: list[RunEvent]) -> list[RunEvent]:
    """Alarms of the run as it is now: of steps that a resume did not take back, since its last start."""
    found: list[RunEvent] = []
    for one in events:
        if one.event == "started":
            found.clear()
        elif one.event == "resumed":
            found = [alarm for alarm in found if alarm.step <= one.step]
        elif one.event == "alarm":
            found.append(one)
    return found
