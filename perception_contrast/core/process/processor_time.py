"""Processor time and start of processes."""

from __future__ import annotations

import os
from pathlib import Path


def processor_seconds(pid: int) -> float | None:
    """User and system seconds of a process with all its threads since its start.

    None for a process that is gone, and where there is no /proc.
    """
    fields = _stat(pid)
    return None if fields is None else (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def process_start(pid: int) -> int | None:
    """When a process began, in clock ticks since the machine started: tells it from a later one of its id.

    None for a process that is gone or has ended without being waited for, and where there is no /proc.
    """
    fields = _stat(pid)
    return None if fields is None or fields[0] == "Z" else int(fields[19])


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/PID/stat behind the name: the state first, user and system time 12th and 13th."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name, in brackets, may hold anything.
    return text.rpartition(")")[2].split()
