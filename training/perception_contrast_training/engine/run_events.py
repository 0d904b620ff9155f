"""What happens to a run beside its figures: ``events.jsonl``, a line each, for who watches from outside."""

from __future__ import annotations

import json
import logging
import os
import socket
import time
from pathlib import Path
from typing import Any

from perception_contrast.core.process.processor_time import process_start

logger = logging.getLogger(__name__)

EVENTS = "events.jsonl"
STARTED, RESUMED, ALARM = "started", "resumed", "alarm"
FINISHED, INTERRUPTED, FAILED = "finished", "interrupted", "failed"


class RunEvents:
    """Appends to ``events.jsonl`` of a run's folder; what happened before a resume stays.

    A line has ``event``, ``time`` (Unix seconds), ``step`` and what belongs to the event: ``started`` and
    ``resumed`` the last step (``steps``) and the process (``host``, ``pid``, ``process_start`` in clock ticks
    since the machine started), ``alarm`` a ``kind`` and a ``text``, ``failed`` a ``text``.

    Args:
        folder: The run's output folder.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / EVENTS

    def note(self, event: str, step: int, **about: Any) -> None:
        """A full disk must not end what only the notes are about."""
        line = json.dumps({"event": event, "time": time.time(), "step": step, **about})
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            logger.warning("'%s' cannot be written: %s", self._path, error)

    def note_begin(self, step: int, steps: int, *, resumed: bool) -> None:
        """That this process begins or goes on with the run."""
        self.note(
            RESUMED if resumed else STARTED, step, steps=steps, host=socket.gethostname(), pid=os.getpid(),
            process_start=process_start(os.getpid()),
        )  # fmt: skip
