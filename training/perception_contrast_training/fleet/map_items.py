"""The one place that spreads work: a function over items, here, in processes, or on a Ray cluster.

The function must be safe to repeat: a worker that dies takes its item to another one, which may find the
first one's result already there. So results go to files whose names follow from the item, renamed when they
are whole, and what is handed back is small.
"""

from __future__ import annotations

import os
import queue
from collections.abc import Callable, Hashable, Iterable, Iterator, Sized
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.data.loading.workers import SPAWNED, worker_pool

Item = TypeVar("Item")
Report = Callable[[int, int, int], None]
"""Called with the number of an item, what is done of it, and of how much (0: not known)."""
Work = Callable[[Item, Report | None], Any]
_WAIT = 0.2  # seconds between looks at the workers' reports
_HELD = 2  # results that wait for earlier ones, by items on their way


@dataclass(frozen=True)
class Where:
    """Where work runs.

    Attributes:
        workers: Processes of this machine; 0 for one a processor, 1 for this process alone.
        ray: Address of a Ray cluster, "auto" for the one that RAY_ADDRESS names or that runs here, "local"
            to start one here; "" for no Ray.
        cpus: Processors that Ray keeps free for an item.
        gpus: GPUs, or the part of one, that Ray keeps free for an item.
        retries: How often Ray gives an item to another worker after one died; -1 for always.
        ahead: Items on their way at once; 0 for four a processor of the cluster.
    """

    workers: int = 1
    ray: str = ""
    cpus: float = 1.0
    gpus: float = 0.0
    retries: int = 5
    ahead: int = 0


def map_items(
    work: Work[Item],
    items: Iterable[Item],
    where: Where,
    report: Report | None = None,
    *,
    ordered: bool = False,
) -> Iterator[tuple[int, Any]]:
    """Calls ``work(item, report)`` for each item, and gives (number of the item, result) as they are done.

    A PerceptionError of an item is its result and stops no other. Memory does not grow with the items: only
    those on their way are held, and of results at most twice as many.

    Args:
        work: Picklable; called with an item and what it may report to (None on Ray).
        items: Picklable each. Each is asked for when it can be sent, so an iterable that makes or reads
            them one by one costs no memory.
        where: Processes or cluster.
        report: Called here with the progress of items.
        ordered: Gives results in the order of the items, whichever are done first.

    Raises:
        PerceptionError: Ray is not installed or its cluster cannot be joined.
    """
    if where.ray:
        from perception_contrast_training.fleet.on_ray import map_on_ray

        return map_on_ray(work, items, where, ordered=ordered)
    count = where.workers or os.cpu_count() or 1
    if isinstance(items, Sized):
        count = min(count, len(items))
    if count <= 1:
        return ((number, attempt(work, item, report)) for number, item in enumerate(items))
    return _in_processes(work, items, count, report, ordered)


@contextmanager
def joined_to(where: Where) -> Iterator[None]:
    """Stays joined to the cluster, if there is one, so that workers keep what they loaded between calls.

    Raises:
        PerceptionError: Ray is not installed or its cluster cannot be joined.
    """
    if not where.ray:
        yield
        return
    from perception_contrast_training.fleet.on_ray import joined

    with joined(where.ray):
        yield


def attempt(work: Work[Item], item: Item, report: Report | None = None) -> Any:
    """The result of one item, or the PerceptionError that it ended with."""
    try:
        return work(item, report)
    except PerceptionError as error:
        # Its cause may not be picklable.
        return PerceptionError(str(error))


class Flow(Generic[Item]):
    """Which items are sent when, and which results are given when."""

    def __init__(self, items: Iterable[Item], most: int, *, ordered: bool) -> None:
        """Sends nothing yet.

        Args:
            items: To be sent, in their order.
            most: Items on their way at once.
            ordered: Results wait for those of earlier items. While ``_HELD * most`` wait, none is sent.
        """
        self._left, self._most, self._ordered = enumerate(items), most, ordered
        self._numbers: dict[Hashable, int] = {}
        self._waiting: dict[int, Any] = {}
        self._next = 0

    def send(self, start: Callable[[Item], Hashable]) -> list[Any]:
        """Starts as many items as may be on their way; gives the handles of all that are."""
        while len(self._numbers) < self._most and len(self._waiting) < _HELD * self._most:
            following = next(self._left, None)
            if following is None:
                break
            number, item = following
            self._numbers[start(item)] = number
        return list(self._numbers)

    def end(self, handle: Hashable, result: Any) -> Iterator[tuple[int, Any]]:
        """Takes the result of an item; gives those that may be given now, with their numbers."""
        number = self._numbers.pop(handle)
        if not self._ordered:
            yield number, result
            return
        self._waiting[number] = result
        while self._next in self._waiting:
            yield self._next, self._waiting.pop(self._next)
            self._next += 1


def _in_processes(
    work: Work[Item], items: Iterable[Item], count: int, report: Report | None, ordered: bool
) -> Iterator[tuple[int, Any]]:
    with SPAWNED.Manager() as manager, worker_pool(count) as pool:
        reports = manager.Queue()
        send = partial(_send, reports)
        flow = Flow(items, 2 * count, ordered=ordered)
        try:
            while running := flow.send(lambda item: pool.submit(attempt, work, item, send)):
                done, _ = wait(running, _WAIT, FIRST_COMPLETED)
                _deliver(reports, report)
                for future in done:
                    yield from flow.end(future, _result(future))
            _deliver(reports, report)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _result(future: Future[Any]) -> Any:
    try:
        return future.result()
    except BrokenExecutor as error:
        raise PerceptionError(
            "a worker process ended, for want of memory or by a signal; give the same command again, with "
            "fewer --workers: what is finished stays"
        ) from error


def _send(reports: Any, number: int, done: int, total: int) -> None:
    reports.put((number, done, total))


def _deliver(reports: Any, report: Report | None) -> None:
    while True:
        try:
            number, done, total = reports.get_nowait()
        except queue.Empty:
            return
        if report is not None:
            report(number, done, total)
