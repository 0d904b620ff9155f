"""A worker thread for which the latest item wins. Knows no ROS."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class LatestWorker(Generic[Item]):
    """Calls ``work(item)`` in its own thread, always with the newest item.

    An item that arrives while another waits replaces it, and ``replaced`` counts that. An exception
    of ``work`` goes to ``on_error`` and never ends the thread. ``min_interval`` (seconds) spaces the
    starts of two calls; items that arrive meanwhile replace each other in the same way.
    """

    def __init__(
        self,
        work: Callable[[Item], None],
        on_error: Callable[[Exception], None],
        *,
        name: str = "worker",
        min_interval: float = 0.0,
    ) -> None:
        self._work, self._on_error = work, on_error
        self._waiting: list[Item] = []
        self._changed = threading.Condition()
        self._stopping = False
        self._min_interval = min_interval
        self._replaced = 0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def replaced(self) -> int:
        """Items that a newer one displaced before work on them began."""
        return self._replaced

    @property
    def min_interval(self) -> float:
        return self._min_interval

    @min_interval.setter
    def min_interval(self, seconds: float) -> None:
        with self._changed:
            self._min_interval = seconds
            self._changed.notify()

    def submit(self, item: Item) -> bool:
        """Hands over an item and returns at once; False after ``stop``."""
        with self._changed:
            if self._stopping:
                return False
            self._replaced += len(self._waiting)
            self._waiting = [item]
            self._changed.notify()
            return True

    def stop(self, timeout: float = 5.0) -> bool:
        """Drops what waits, lets the call in progress end; False if that takes longer than ``timeout``."""
        with self._changed:
            self._stopping = True
            self._waiting = []
            self._changed.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _next(self, last_start: float) -> Item | None:
        with self._changed:
            while not self._stopping:
                held_back = last_start + self._min_interval - time.monotonic()
                if self._waiting and held_back <= 0.0:
                    return self._waiting.pop()
                self._changed.wait(held_back if self._waiting else None)
            return None

    def _run(self) -> None:
        last_start = float("-inf")
        while (item := self._next(last_start)) is not None:
            last_start = time.monotonic()
            try:
                self._work(item)
            except Exception as error:
                self._on_error(error)
            del item
