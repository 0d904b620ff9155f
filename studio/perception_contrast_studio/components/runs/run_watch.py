"""The runs that the studio shows, read once for all visitors."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

from perception_contrast_studio.components.runs.training_run import TrainingRun, find_runs, run_name
from perception_contrast_studio.server.folders import inside
from perception_contrast_studio.server.studio_page import Studio

SEARCH_SECONDS, POLL_SECONDS = 5.0, 1.0
MOST_WHOLE = 8
"""Runs whose curves are kept at once."""


class RunWatch:
    """Follows runs. All methods block for the time of reading; call them in a thread.

    Args:
        folders: Runs, or folders of runs.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = tuple(one.resolve() for one in folders)
        self._lock = threading.Lock()
        self._runs: dict[Path, TrainingRun] = {}
        self._whole: OrderedDict[Path, TrainingRun] = OrderedDict()
        self._searched = self._polled = -1e9

    def runs(self) -> list[TrainingRun]:
        """All runs with their newest figures, the one that was written last first."""
        with self._lock:
            now = time.monotonic()
            if now - self._searched >= SEARCH_SECONDS:
                found = find_runs(self._folders)
                self._runs = {path: self._runs.get(path) or self._made(path, tail=True) for path in found}
                self._searched = now
            if now - self._polled >= POLL_SECONDS:
                for run in self._runs.values():
                    run.poll()
                self._polled = now
            return list(self._runs.values())

    def whole(self, path: Path) -> TrainingRun:
        """A run with its curves, up to date.

        Raises:
            FolderError: It lies outside of the given folders.
        """
        folder = inside(path, self._folders)
        with self._lock:
            run = self._whole.pop(folder, None) or self._made(folder, tail=False)
            self._whole[folder] = run
            while len(self._whole) > MOST_WHOLE:
                self._whole.popitem(last=False)
            run.poll()
            return run

    def _made(self, path: Path, *, tail: bool) -> TrainingRun:
        return TrainingRun(path, run_name(path, self._folders), tail)


def run_watch(studio: Studio) -> RunWatch:
    """The one of a studio."""
    found = studio.notes.get("run_watch")
    if not isinstance(found, RunWatch):
        found = studio.notes["run_watch"] = RunWatch(studio.folders.runs)
    return found
