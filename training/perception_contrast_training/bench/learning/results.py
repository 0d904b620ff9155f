"""The file of results: a figure is written once, by whichever of several processes made it."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.evaluation.report import write_json

CELLS, STARTS, UNDER_WAY, MISSING = "cells", "starts", "under way", "missing"


@dataclass(frozen=True)
class Results:
    """A JSON file.

    Attributes:
        path: Of the file: the budget; figures of CELLS and of encoders at their STARTS, by their keys; steps
            of cells UNDER_WAY; why cells are MISSING.
        budget: What every figure was made with.
        locks: A folder for files that keep two processes apart.
    """

    path: Path
    budget: Mapping[str, Any]
    locks: Path

    def read(self) -> dict[str, Any]:
        """All that is there.

        Raises:
            PerceptionError: The file cannot be read, or its figures were made with another budget.
        """
        empty = {"budget": dict(self.budget), CELLS: {}, STARTS: {}, UNDER_WAY: {}, MISSING: {}}
        if not self.path.is_file():
            return empty
        found = read_results(self.path)
        if found["budget"] != empty["budget"]:
            names = sorted(n for n in self.budget if found["budget"].get(n) != self.budget[n])
            raise PerceptionError(
                f"'{self.path}' has figures of another budget ({', '.join(names)} differ); give the same, or "
                "choose another --results"
            )
        return empty | found

    def change(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Reads, changes and writes, with no other process in between."""
        with _locked(self.locks / "results", wait=True):
            content = self.read()
            change(content)
            write_json(self.path, content)

    def add(self, key: str, figures: Mapping[str, Any]) -> None:
        """Figures of a cell, which is then no longer under way or missing."""

        def put(content: dict[str, Any]) -> None:
            content[CELLS][key] = dict(figures)
            content[UNDER_WAY].pop(key, None)
            content[MISSING].pop(key, None)

        self.change(put)

    def note(self, part: str, key: str, value: Any) -> None:
        """One value of STARTS, UNDER_WAY or MISSING."""

        def put(content: dict[str, Any]) -> None:
            content[part][key] = value

        self.change(put)

    @contextmanager
    def own(self, key: str) -> Iterator[bool]:
        """Whether a cell is this process's within the context: not measured, and nobody else at it."""
        try:
            with _locked(self.locks / key, wait=False):
                yield key not in self.read()[CELLS]
        except BlockingIOError:
            yield False


def read_results(path: Path) -> dict[str, Any]:
    """Raises PerceptionError for a file that is no file of results."""
    try:
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
        if not all(isinstance(found[name], dict) for name in ("budget", CELLS)):
            raise ValueError("no budget or no cells")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PerceptionError(
            f"'{path}' is no file of results ({error}); move it away, or choose another --results"
        ) from error
    return found


@contextmanager
def _locked(path: Path, *, wait: bool) -> Iterator[None]:
    """Raises BlockingIOError where another process is within, unless it is waited for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
