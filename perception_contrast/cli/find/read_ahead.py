"""An iterator whose next items are made in a thread while the last ones are used."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True)
class _End:
    """Comes after the last item. error: what ended the items, if anything did."""

    error: BaseException | None = None


@dataclass(frozen=True)
class _Made(Generic[Item]):
    item: Item


def read_ahead(items: Iterable[Item], count: int) -> Iterator[Item]:
    """The items in their order, up to ``count`` of them ahead. What making one raises is raised here."""
    waiting: queue.Queue[_Made[Item] | _End] = queue.Queue(count)
    stopped = threading.Event()

    def put(one: _Made[Item] | _End) -> None:
        while not stopped.is_set():
            try:
                return waiting.put(one, timeout=0.1)
            except queue.Full:
                continue

    def make() -> None:
        try:
            for item in items:
                put(_Made(item))
                if stopped.is_set():
                    return
        except BaseException as error:
            put(_End(error))
        else:
            put(_End())

    thread = threading.Thread(target=make, name="read_ahead", daemon=True)
    thread.start()
    try:
        while isinstance(one := waiting.get(), _Made):
            yield one.item
        if one.error is not None:
            raise one.error
    finally:
        stopped.set()
        thread.join()
