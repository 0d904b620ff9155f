"""Bars with rate and time left, on standard error where that is a terminal, or told to a listener."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

Item = TypeVar("Item")
# Takes what is done, how many items are through, and how many there are, 0 if that is not known.
Listener = Callable[[str, int, int], None]

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Calls a function with each step of all bars within, in place of drawing them."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def tracked(items: Iterable[Item], description: str, total: int = 0) -> Iterator[Item]:
    """The items, with a bar beside them; total: how many, 0 if that is not known."""
    listener = _listener.get()
    if listener is not None:
        listener(description, 0, total)
        for done, item in enumerate(items, 1):
            yield item
            listener(description, done, total)
        return
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
