"""Bars with rate and time left, on standard error where that is a terminal."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def tracked(items: Iterable[Item], description: str, total: int = 0) -> Iterator[Item]:
    """The items, with a bar beside them; total: how many, 0 if that is not known."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    # Of the processes that torchrun starts, one draws.
    silent = not console.is_terminal or os.environ.get("RANK", "0") != "0"
    with Progress(*columns, console=console, transient=True, disable=silent) as progress:
        bar = progress.add_task(description, total=total or None, rate="")
        for item in items:
            yield item
            progress.advance(bar)
            speed = progress.tasks[0].speed
            progress.update(bar, rate=f"{speed:.2f}/s" if speed else "")
