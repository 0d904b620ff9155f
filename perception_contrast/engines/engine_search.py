"""The thread in which engines are built, checked and measured while others serve."""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.process.allocator import release_memory

logger = logging.getLogger(__name__)

Value = TypeVar("Value")
# After each run of a candidate the serving thread has the processors for this many times as long.
PAUSE = 2.0
# Seconds that a caller waits for a task that was called off; what cannot be stopped ends by itself.
PATIENCE = 2.0
_POLL = 0.05


class SearchCancelled(PerceptionError):
    """A task was called off. No failure of any engine."""


@dataclass(frozen=True)
class _Task:
    """run: the work. ended: called after it, also where it was called off before it began."""

    run: Callable[[], None]
    ended: Callable[[], None]

    def __call__(self) -> None:
        try:
            self.run()
        except SearchCancelled:
            logger.debug("the choice of an engine was called off")
        except Exception:
            logger.exception("the choice of an engine failed")
        finally:
            self.ended()


class EngineSearch:
    """Runs tasks one after another in a thread of its own, politely to the thread that serves.

    A task runs engines by ``in_turn`` alone: never while an encoder serves, and with a pause after each run
    while images are served. So an image waits for one run of a candidate at most. The thread has the usual
    priority: a thread of lower priority that holds Python's lock would keep the serving one waiting for it.

    Any thread may call any method but ``in_turn`` and ``check``, which are for tasks.

    Args:
        background: False runs each task at once in the thread that submits it.
        pause: seconds of pause for each second of a candidate's run.
    """

    def __init__(self, *, background: bool = True, pause: float = PAUSE) -> None:
        self._background, self._pause = background, pause
        # Reentrant, because a task in the foreground may run while its image is being encoded.
        self._turn = threading.RLock()
        self._changed = threading.Condition()
        self._first: deque[_Task] = deque()
        self._later: deque[_Task] = deque()
        self._thread: threading.Thread | None = None
        # Counts what was called off: a task that began under a lower number ends.
        self._generation = self._running = 0
        self._running_first = self._held = self._closed = self._served = False

    @property
    def is_busy(self) -> bool:
        """Whether a task runs or waits."""
        with self._changed:
            return self._thread is not None

    def submit(self, run: Callable[[], None], ended: Callable[[], None], *, first: bool = False) -> None:
        """Runs a task after those before it.

        Args:
            run: ends when ``in_turn`` or ``check`` raises SearchCancelled. What else it raises is logged.
            ended: called once, after ``run`` or instead of it where the task is called off.
            first: before all tasks that are not.
        """
        task = _Task(run, ended)
        with self._changed:
            closed = self._closed
            if not closed and not self._background:
                self._running = self._generation
            elif not closed:
                (self._first if first else self._later).append(task)
                if self._thread is None:
                    # No daemon: an engine's C++ code must not run while the interpreter is taken down.
                    self._thread = threading.Thread(target=self._work, name="engines")
                    self._thread.start()
        if closed:
            ended()
        elif not self._background:
            task()

    def wait_for_first(self, seconds: float) -> bool:
        """Waits until no task is left that was submitted as a first one; False after ``seconds``."""
        with self._changed:
            return self._changed.wait_for(
                lambda: not (self._first or (self._running_first and self._thread is not None)), seconds
            )

    @contextmanager
    def serving(self) -> Iterator[None]:
        """While an image is encoded: no task runs an engine meanwhile."""
        self._served = True
        with self._turn:
            yield
        self._served = True

    def in_turn(self, run: Callable[[], Value]) -> Value:
        """Runs an engine between two images.

        Returns:
            What ``run`` returns.

        Raises:
            SearchCancelled: the task was called off.
        """
        while True:
            self.check()
            if self._turn.acquire(timeout=_POLL):
                break
        try:
            self.check()
            began = time.perf_counter()
            result = run()
            took = time.perf_counter() - began
        finally:
            self._turn.release()
        if self._background and self._served:
            self._served = False
            self._rest(self._pause * took)
        return result

    def check(self) -> None:
        """Raises SearchCancelled where the task was called off; waits while the search is held."""
        with self._changed:
            while self._held and not self._is_cancelled():
                self._changed.wait(_POLL)
            if self._is_cancelled():
                raise SearchCancelled("the choice of an engine was called off")

    def hold(self) -> None:
        """Stops the tasks after the step that they are at, until ``go_on``."""
        with self._changed:
            self._held = True

    def go_on(self) -> None:
        """Lets held tasks go on."""
        with self._changed:
            self._held = False
            self._changed.notify_all()

    def abandon(self) -> bool:
        """Calls off all tasks and waits a moment for the present one to free what it holds.

        Returns:
            Whether there was any.
        """
        with self._changed:
            if self._thread is None:
                return False
            self._generation += 1
            called_off = [*self._first, *self._later]
            self._first.clear()
            self._later.clear()
            self._changed.notify_all()
        for task in called_off:
            task.ended()
        with self._changed:
            self._changed.wait_for(lambda: self._thread is None, PATIENCE)
        return True

    def close(self) -> None:
        """As ``abandon``; later tasks are ignored."""
        with self._changed:
            self._closed = True
            self._generation += 1
        self.abandon()

    def _is_cancelled(self) -> bool:
        # A process that ends waits for this thread.
        return self._running != self._generation or not threading.main_thread().is_alive()

    def _rest(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        with self._changed:
            self._changed.wait_for(self._is_cancelled, max(0.0, end - time.monotonic()))

    def _work(self) -> None:
        while True:
            with self._changed:
                self._running_first = bool(self._first)
                queue = self._first or self._later
                task = queue.popleft() if queue else None
                self._running = self._generation
                self._changed.notify_all()
            if task is None:
                # Exports and lost candidates leave much behind.
                gc.collect()
                release_memory()
                with self._changed:
                    if not (self._first or self._later):
                        self._thread = None
                        self._changed.notify_all()
                        return
                continue
            task()
            # What a task held must be free before the next.
            del task
