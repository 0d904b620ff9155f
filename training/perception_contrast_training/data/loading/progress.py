"""Bars with rate and time left for work whose parts are told from elsewhere."""

from __future__ import annotations

from types import TracebackType
from typing import Any


class Bars:
    """A context; on standard error where that is a terminal, else silent. unit: what is counted."""

    def __init__(self, unit: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        self._unit = unit
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._bars: dict[str, Any] = {}
        self._recordings: dict[int, tuple[int, int]] = {}

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show_recording(self, number: int, done: int, total: int) -> None:
        """One bar over all recordings that were begun."""
        self._recordings[number] = (done, total)
        read, count = (sum(one) for one in zip(*self._recordings.values(), strict=True))
        name = f"{len(self._recordings)} recording(s)"
        self._show("recordings", name, read, count)

    def show_stage(self, stage: str, done: int, total: int) -> None:
        self._show(stage, stage, done, total)

    def _show(self, key: str, name: str, done: int, total: int) -> None:
        if key not in self._bars:
            self._bars[key] = self._progress.add_task(name, total=total, rate="")
        bar = self._bars[key]
        self._progress.update(bar, completed=done, total=total, description=name)
        speed = next(task.speed for task in self._progress.tasks if task.id == bar)
        self._progress.update(bar, rate=f"{speed:.1f} {self._unit}/s" if speed else "")
