"""Chooses whose frame is next: the newest of each camera waits, by weights and rates. Knows no ROS."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Scheduled(Generic[Item]):
    """An item that is due, and the camera that it came from."""

    camera: str
    item: Item


@dataclass(frozen=True)
class DropCounts:
    """Items that a newer one displaced.

    Attributes:
        replaced: While the worker was busy.
        rate_limited: While the rate limit held them back.
    """

    replaced: int = 0
    rate_limited: int = 0


@dataclass
class _Flow(Generic[Item]):
    """State of one camera. virtual_time: work it has had, in items divided by its weight."""

    weight: float = 1.0
    min_interval: float = 0.0
    waiting: Item | None = None
    virtual_time: float = 0.0
    last_start: float = float("-inf")
    replaced: int = 0
    rate_limited: int = 0

    def ready_at(self) -> float:
        return self.last_start + self.min_interval


class FairQueue(Generic[Item]):
    """Start-time fair queueing (Goyal, Vin and Cheng, 1997) over cameras that hold one item each.

    A batch takes the camera that is furthest behind and all others that are behind by less than one turn
    of the heaviest: with equal weights, all that wait. A camera that was idle comes back level with the
    others, neither with a debt nor with a claim. Not for several threads at once. Times are seconds of any
    one steady clock.
    """

    def __init__(self, cameras: Sequence[str]) -> None:
        self._flows: dict[str, _Flow[Item]] = {name: _Flow() for name in cameras}
        self._virtual_time = 0.0
        self.max_batch = len(cameras)

    def configure(
        self, weights: Mapping[str, float], intervals: Mapping[str, float], max_batch: int = 0
    ) -> None:
        """Sets shares and rates.

        Args:
            weights: Camera to its share, above 0.
            intervals: Camera to the least seconds between two starts.
            max_batch: Most items of a batch, 0 for one of each camera.
        """
        for name, flow in self._flows.items():
            flow.weight, flow.min_interval = weights[name], intervals[name]
        self.max_batch = max_batch or len(self._flows)

    def put(self, camera: str, item: Item, now: float) -> None:
        """Stores the newest item of a camera; one that still waited is dropped and counted."""
        flow = self._flows[camera]
        if flow.waiting is None:
            flow.virtual_time = max(flow.virtual_time, self._virtual_time)
        elif now < flow.ready_at():
            flow.rate_limited += 1
        else:
            flow.replaced += 1
        flow.waiting = item

    def take_batch(self, now: float) -> list[Scheduled[Item]]:
        """The next batch, empty where nothing may start."""
        ready = [
            name for name, flow in self._flows.items() if flow.waiting is not None and now >= flow.ready_at()
        ]
        if not ready:
            return []
        ready.sort(key=lambda name: (self._flows[name].virtual_time, name))
        self._virtual_time = self._flows[ready[0]].virtual_time
        turn = 1.0 / max(self._flows[name].weight for name in ready)
        batch = []
        for name in ready[: self.max_batch]:
            flow = self._flows[name]
            behind = flow.virtual_time - self._virtual_time
            if behind < turn - _TOLERANCE or behind == 0.0:
                item, flow.waiting = flow.waiting, None
                assert item is not None
                flow.virtual_time += 1.0 / flow.weight
                flow.last_start = now
                batch.append(Scheduled(name, item))
        return batch

    def seconds_until_ready(self, now: float) -> float | None:
        """Seconds until something that waits may start; None where nothing waits."""
        starts = [flow.ready_at() for flow in self._flows.values() if flow.waiting is not None]
        return max(min(starts) - now, 0.0) if starts else None

    def clear(self, camera: str | None = None) -> None:
        """Drops what waits, of one camera or of all."""
        for name, flow in self._flows.items():
            if camera is None or name == camera:
                flow.waiting = None

    def waiting(self, camera: str) -> bool:
        return self._flows[camera].waiting is not None

    def dropped(self, camera: str) -> DropCounts:
        flow = self._flows[camera]
        return DropCounts(flow.replaced, flow.rate_limited)


class FairWorker(Generic[Item]):
    """Processes the batches of a ``FairQueue`` in a thread of its own.

    Args:
        process_batch: An exception of it never ends the thread.
        on_error: Called with such an exception.
        cameras: Names; one camera of no name by default.
        thread_name: Of the thread.
    """

    def __init__(
        self,
        process_batch: Callable[[Sequence[Scheduled[Item]]], None],
        on_error: Callable[[Exception], None],
        cameras: Sequence[str] = ("",),
        *,
        thread_name: str = "worker",
    ) -> None:
        self._process_batch, self._on_error = process_batch, on_error
        self._queue: FairQueue[Item] = FairQueue(cameras)
        self._changed = threading.Condition()
        self._stopping, self._busy_since = False, 0.0
        self._thread = threading.Thread(target=self._run, name=thread_name, daemon=True)
        self._thread.start()

    def configure(
        self, weights: Mapping[str, float], intervals: Mapping[str, float], max_batch: int = 0
    ) -> None:
        """As ``FairQueue.configure``, from the next batch on."""
        with self._changed:
            self._queue.configure(weights, intervals, max_batch)
            self._changed.notify_all()

    def submit(self, item: Item, camera: str = "") -> bool:
        """Hands over an item of a camera and returns at once; False after ``stop``."""
        with self._changed:
            if self._stopping:
                return False
            self._queue.put(camera, item, time.monotonic())
            self._changed.notify_all()
            return True

    def dropped(self, camera: str = "") -> DropCounts:
        return self._queue.dropped(camera)

    def waiting(self, camera: str = "") -> bool:
        """True while an item of a camera waits."""
        return self._queue.waiting(camera)

    @property
    def busy_seconds(self) -> float:
        """Seconds that the batch in progress has taken so far; 0 between batches."""
        since = self._busy_since
        return time.monotonic() - since if since else 0.0

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def clear(self, camera: str | None = None) -> None:
        """Drops what waits, of one camera or of all."""
        with self._changed:
            self._queue.clear(camera)

    def drain(self, timeout: float = 5.0) -> bool:
        """Drops what waits and lets the batch in progress end; False if that takes longer."""
        with self._changed:
            self._queue.clear()
            if threading.current_thread() is self._thread:
                return True
            return self._changed.wait_for(lambda: not self._busy_since, timeout)

    def stop(self, timeout: float = 5.0) -> bool:
        """Ends the thread after the batch in progress; False if that takes longer than ``timeout``."""
        with self._changed:
            self._stopping = True
            self._queue.clear()
            self._changed.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _next_batch(self) -> list[Scheduled[Item]]:
        with self._changed:
            while not self._stopping:
                now = time.monotonic()
                if batch := self._queue.take_batch(now):
                    self._busy_since = now
                    return batch
                self._changed.wait(self._queue.seconds_until_ready(now))
            return []

    def _run(self) -> None:
        while batch := self._next_batch():
            try:
                self._process_batch(batch)
            except Exception as error:
                self._on_error(error)
            # Nothing may keep the last frames alive while the next are waited for.
            del batch
            with self._changed:
                self._busy_since = 0.0
                self._changed.notify_all()  # whoever waits in ``drain``
