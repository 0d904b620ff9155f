"""StageTimer: how long each stage of a frame takes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


class StageTimer:
    """Adds up milliseconds by stage. The time of a stage within another counts for the inner one alone.

    Attributes:
        timings: Milliseconds by stage.
    """

    def __init__(self, timings: Mapping[str, float] | None = None) -> None:
        """Starts from the timings of an earlier timer, which stays as it is.

        Args:
            timings: Milliseconds by stage.
        """
        self.timings: dict[str, float] = dict(timings or {})
        self._within: list[float] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Times the body of a ``with`` statement as the stage ``name``."""
        began = time.perf_counter()
        self._within.append(0.0)
        try:
            yield
        finally:
            took = 1e3 * (time.perf_counter() - began)
            self.timings[name] = self.timings.get(name, 0.0) + took - self._within.pop()
            if self._within:
                self._within[-1] += took
