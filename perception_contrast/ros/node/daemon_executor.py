"""An executor of one daemon thread, whose calls can be abandoned."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, Generic, TypeVar

from perception_contrast.ros.node.shutdown_event import ShutdownEvent

Value = TypeVar("Value")
POLL_SECONDS = 0.05


class _Task(Generic[Value]):
    """A call and the future of its result."""

    def __init__(self, call: Callable[[], Value]) -> None:
        self._call = call
        self.future: Future[Value] = Future()

    def run(self) -> None:
        try:
            self.future.set_result(self._call())
        except BaseException as error:
            self.future.set_exception(error)


class DaemonExecutor:
    """Runs calls one after another in one thread.

    One thread for all calls, because numeric libraries keep memory for each thread that they met. A daemon
    thread, unlike those of ``concurrent.futures``, because loading weights can hang in a download and must
    not keep the process from ending.
    """

    def __init__(self, name: str) -> None:
        self._tasks: queue.SimpleQueue[_Task[Any] | None] = queue.SimpleQueue()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def submit(self, call: Callable[[], Value]) -> Future[Value]:
        """Runs ``call`` after what was submitted before."""
        task = _Task(call)
        self._tasks.put(task)
        return task.future

    def run(self, call: Callable[[], Value], shutdown: ShutdownEvent) -> Value | None:
        """Waits for the result of ``call``; None if ``shutdown`` is set before there is one."""
        future = self.submit(call)
        while not shutdown.is_set():
            done, _ = wait([future], timeout=POLL_SECONDS)
            if done:
                return future.result()
        return None

    def shutdown(self) -> None:
        """Ends the thread after what was submitted. Does not wait."""
        self._tasks.put(None)

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            task.run()
            # What a call held must be free while the thread waits for the next one.
            del task
