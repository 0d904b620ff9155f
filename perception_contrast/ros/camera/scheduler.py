"""Which camera's frame is next: the newest of each waits, weights share the work, rates are kept. No ROS."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")
Batch = Sequence[tuple[str, Item]]
_EVEN = 1e-9


@dataclass
class _Lane(Generic[Item]):
    """One camera's place. served: work it has had, in frames divided by its weight."""

    weight: float = 1.0
    min_interval: float = 0.0
    waiting: Item | None = None
    served: float = 0.0
    last_start: float = float("-inf")
    replaced: int = 0
    rate_limited: int = 0


class Lanes(Generic[Item]):
    """Start-time fair queueing (Goyal, Vin and Cheng, 1997) over lanes that hold one item each.

    A batch takes the lane that is furthest behind and all others that are behind by less than one turn
    of the heaviest: with equal weights, everyone who waits. A lane that was idle comes back level with
    the others, neither with a debt nor with a claim. Not for several threads at once.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._lanes: dict[str, _Lane[Item]] = {name: _Lane() for name in names}
        self._level = 0.0
        self.most = len(names)

    def configure(self, weights: Mapping[str, float], intervals: Mapping[str, float], most: int = 0) -> None:
        """weights: above 0. intervals: seconds between two starts of a lane. most: of a batch, 0 for all."""
        for name, lane in self._lanes.items():
            lane.weight, lane.min_interval = weights[name], intervals[name]
        self.most = most or len(self._lanes)

    def offer(self, name: str, item: Item, now: float) -> None:
        """The newest item of a lane; one that still waited is dropped and counted."""
        lane = self._lanes[name]
        if lane.waiting is None:
            lane.served = max(lane.served, self._level)
        elif now < lane.last_start + lane.min_interval:
            lane.rate_limited += 1
        else:
            lane.replaced += 1
        lane.waiting = item

    def take(self, now: float) -> list[tuple[str, Item]]:
        """The next batch, empty where nothing may start."""
        ready = [
            (lane.served, name)
            for name, lane in self._lanes.items()
            if lane.waiting is not None and now >= lane.last_start + lane.min_interval
        ]
        if not ready:
            return []
        ready.sort()
        self._level = ready[0][0]
        turn = 1.0 / max(self._lanes[name].weight for _, name in ready)
        batch = []
        for served, name in ready[: self.most]:
            if served - self._level < turn - _EVEN or served == self._level:
                lane = self._lanes[name]
                item, lane.waiting = lane.waiting, None
                assert item is not None
                lane.served += 1.0 / lane.weight
                lane.last_start = now
                batch.append((name, item))
        return batch

    def pause(self, now: float) -> float | None:
        """Seconds until something that waits may start; None where nothing waits."""
        starts = [
            lane.last_start + lane.min_interval for lane in self._lanes.values() if lane.waiting is not None
        ]
        return max(min(starts) - now, 0.0) if starts else None

    def clear(self, name: str | None = None) -> None:
        """Drops what waits, of one lane or of all."""
        for key, lane in self._lanes.items():
            if name is None or key == name:
                lane.waiting = None

    def waiting(self, name: str) -> bool:
        return self._lanes[name].waiting is not None

    def dropped(self, name: str) -> tuple[int, int]:
        """Items that a newer one displaced: because work took too long, and because of the rate."""
        lane = self._lanes[name]
        return lane.replaced, lane.rate_limited


class FairWorker(Generic[Item]):
    """Calls ``work(batch)`` in its own thread with what ``Lanes`` takes.

    An exception of ``work`` goes to ``on_error`` and never ends the thread.
    """

    def __init__(
        self,
        work: Callable[[Batch[Item]], None],
        on_error: Callable[[Exception], None],
        names: Sequence[str] = ("",),
        *,
        name: str = "worker",
    ) -> None:
        self._work, self._on_error = work, on_error
        self._lanes: Lanes[Item] = Lanes(names)
        self._changed = threading.Condition()
        self._stopping, self._since = False, 0.0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def configure(self, weights: Mapping[str, float], intervals: Mapping[str, float], most: int = 0) -> None:
        """As ``Lanes.configure``, from the next batch on."""
        with self._changed:
            self._lanes.configure(weights, intervals, most)
            self._changed.notify_all()

    def submit(self, item: Item, name: str = "") -> bool:
        """Hands over an item of a lane and returns at once; False after ``stop``."""
        with self._changed:
            if self._stopping:
                return False
            self._lanes.offer(name, item, time.monotonic())
            self._changed.notify_all()
            return True

    def dropped(self, name: str = "") -> tuple[int, int]:
        """As ``Lanes.dropped``."""
        return self._lanes.dropped(name)

    def waiting(self, name: str = "") -> bool:
        """True while an item of a lane waits."""
        return self._lanes.waiting(name)

    @property
    def busy(self) -> float:
        """Seconds that the call in progress has taken so far; 0 between calls."""
        since = self._since
        return time.monotonic() - since if since else 0.0

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def clear(self, name: str | None = None) -> None:
        """Drops what waits, of one lane or of all."""
        with self._changed:
            self._lanes.clear(name)

    def settle(self, timeout: float = 5.0) -> bool:
        """Drops what waits and lets the call in progress end; False if that takes longer."""
        with self._changed:
            self._lanes.clear()
            if threading.current_thread() is self._thread:
                return True
            return self._changed.wait_for(lambda: not self._since, timeout)

    def stop(self, timeout: float = 5.0) -> bool:
        """Ends the thread after the call in progress; False if that takes longer than ``timeout``."""
        with self._changed:
            self._stopping = True
            self._lanes.clear()
            self._changed.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _next(self) -> list[tuple[str, Item]]:
        with self._changed:
            while not self._stopping:
                now = time.monotonic()
                if batch := self._lanes.take(now):
                    self._since = now
                    return batch
                self._changed.wait(self._lanes.pause(now))
            return []

    def _run(self) -> None:
        while batch := self._next():
            try:
                self._work(batch)
            except Exception as error:
                self._on_error(error)
            # Nothing may keep the last frames alive while the next are waited for.
            del batch
            with self._changed:
                self._since = 0.0
                self._changed.notify_all()
