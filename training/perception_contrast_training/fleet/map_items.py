"""The one place that spreads work: a function over items, here, in processes, or on a Ray cluster.

The function must be safe to repeat: a worker that dies takes its item to another one, which may find the
first one's result already there. So results go to files whose names follow from the item, renamed when they
are whole, and what is handed back is small.
"""

from __future__ import annotations

import os
import queue
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.data.loading.workers import SPAWNED, worker_pool

Item = TypeVar("Item")
Report = Callable[[int, int, int], None]
"""Called with the number of an item, what is done of it, and of how much (0: not known)."""
Work = Callable[[Item, Report | None], Any]
_WAIT = 0.2  # seconds between looks at the workers' reports


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
    work: Work[Item], items: Sequence[Item], where: Where, report: Report | None = None
) -> Iterator[tuple[int, Any]]:
    """Calls ``work(item, report)`` for each item, and gives (number of the item, result) as they are done.

    A PerceptionError of an item is its result and stops no other. Memory does not grow with the items: only
    those on their way are held.

    Args:
        work: Picklable; called with an item and what it may report to (None on Ray).
        items: Picklable each. A sequence that makes them when they are asked for costs no memory.
        where: Processes or cluster.
        report: Called here with the progress of items.

    Raises:
        PerceptionError: Ray is not installed or its cluster cannot be joined.
    """
    if where.ray:
        from perception_contrast_training.fleet.on_ray import map_on_ray

        return map_on_ray(work, items, where)
    count = min(where.workers or os.cpu_count() or 1, len(items))
    if count <= 1:
        return ((number, attempt(work, item, report)) for number, item in enumerate(items))
    return _in_processes(work, items, count, report)


def attempt(work: Work[Item], item: Item, report: Report | None = None) -> Any:
    """The result of one item, or the PerceptionError that it ended with."""
    try:
        return work(item, report)
    except PerceptionError as error:
        # Its cause may not be picklable.
        return PerceptionError(str(error))


def _in_processes(
    work: Work[Item], items: Sequence[Item], count: int, report: Report | None
) -> Iterator[tuple[int, Any]]:
    with SPAWNED.Manager() as manager, worker_pool(count) as pool:
        reports = manager.Queue()
        send = partial(_send, reports)
        left = iter(range(len(items)))
        numbers: dict[Future[Any], int] = {}
        try:
            while True:
                while len(numbers) < 2 * count and (number := next(left, -1)) >= 0:
                    numbers[pool.submit(attempt, work, items[number], send)] = number
                if not numbers:
                    _deliver(reports, report)
                    return
                done, _ = wait(numbers, _WAIT, FIRST_COMPLETED)
                _deliver(reports, report)
                for future in done:
                    yield numbers.pop(future), _result(future)
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
