"""How far a command is with its frames: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_SECONDS_BETWEEN_LINES = 10.0


class FrameProgress:
    """Counts frames of this run; all of it goes to standard error."""

    def __init__(
        self, total: int, done: int, console: Console | None = None, what: str = "searching"
    ) -> None:
        """total: frames altogether, 0 if unknown. done: by an earlier run. what: is done with them."""
        self._console = console or Console(stderr=True)
        self._total, self._done, self._before, self._unreadable = max(total, done), done, done, 0
        self._began = self._said = time.monotonic()
        self._bar: Progress | None = None
        if self._console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
                console=self._console,
            )
            self._task = self._bar.add_task(what, total=self._total or None, completed=done, rate="")

    def __enter__(self) -> FrameProgress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    @property
    def pace(self) -> str:
        """Frames a second, or a minute, of this run."""
        return _rate(self.rate)

    @property
    def rate(self) -> float:
        """Frames a second of this run."""
        return (self._done - self._before) / max(1e-9, time.monotonic() - self._began)

    def step(self) -> None:
        """One more frame is done."""
        self.reach(self._done + 1)

    def reach(self, done: int, before: int | None = None) -> None:
        """That many frames are done altogether. before: by earlier runs, where that is known only now."""
        self._done = done
        self._before = self._before if before is None else before
        now = time.monotonic()
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, rate=self.pace)
        elif now - self._said >= _SECONDS_BETWEEN_LINES:
            self._said = now
            self._line()

    def say(self, text: str) -> None:
        """A line of its own."""
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            print(text, file=sys.stderr, flush=True)

    def _line(self) -> None:
        total = f" of {self._total}" if self._total else ""
        left = ""
        if self._total > self._done and self.rate > 0:
            left = f", {_duration((self._total - self._done) / self.rate)} left"
        self.say(f"{self._done}{total} frames, {self.pace}{left}")


def _rate(rate: float) -> str:
    return f"{rate:.1f} a second" if rate >= 0.95 else f"{60 * rate:.1f} a minute"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
