"""Processes beside this one, for work that Python's lock would keep in turn."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from multiprocessing.context import SpawnContext
from threading import Thread

# Forked children would share locks of libraries that have threads.
SPAWNED: SpawnContext = get_context("spawn")


def worker_pool(count: int) -> ProcessPoolExecutor:
    """A pool of ``count`` spawned processes, none of which outlives this one, however it ends."""
    return ProcessPoolExecutor(count, SPAWNED, initializer=_end_with_parent)


def _end_with_parent() -> None:
    Thread(target=_watch, name="parent watch", daemon=True).start()


def _watch() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    # From a thread nothing less ends a process that is in the middle of something.
    os._exit(1)
