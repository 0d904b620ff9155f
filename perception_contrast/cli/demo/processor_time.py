"""Processor time of processes, and how many cores each has kept busy."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


def processor_seconds(pid: int) -> float | None:
    """User and system seconds of a process with all its threads since its start.

    None for a process that is gone, and where there is no /proc.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name, in brackets, may hold anything; user and system time are the 12th and 13th field behind it.
    fields = text.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass
class ProcessLoad:
    """Cores that a process kept busy on average, from its first reading to its last.

    Attributes:
        began, first: steady clock and processor seconds of the first reading.
        cores: mean number of cores; 0 before a second reading.
    """

    began: float
    first: float
    cores: float = 0.0

    def read(self, now: float, seconds: float) -> None:
        """now: seconds of the steady clock. seconds: as of ``processor_seconds``."""
        if now > self.began:
            self.cores = (seconds - self.first) / (now - self.began)
