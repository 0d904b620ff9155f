"""Runs tasks in processes of their own, so that pages stay quick and the server loads no model."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

from perception_contrast.core.errors import PerceptionError
from perception_contrast_studio.workers.worker_process import run_worker

TASKS = "perception_contrast_studio.tasks"
IDLE_SECONDS = 300.0
# Tasks that wait in a lane; more than any number of people at their pages ask for.
MOST_WAITING = 64
_LOG = logging.getLogger(__name__)
Progress = Callable[[float, str], None]


class TaskError(PerceptionError):
    """A task could not be done; the message is for the user."""


class TaskCancelledError(TaskError):
    """A task was cancelled, or replaced by a newer one."""


class WorkerPool:
    """Lanes of work, each a process that is started with its first task.

    Tasks of one lane run one after another and may keep what they loaded (a model, a dataset) in their
    module. A lane that is idle for ``idle_seconds`` ends and gives its memory back.

    Args:
        idle_seconds: Seconds.
    """

    def __init__(self, idle_seconds: float = IDLE_SECONDS) -> None:
        self._idle_seconds = idle_seconds
        self._lanes: dict[str, _Lane] = {}
        self._closed = False

    async def run(
        self,
        task: str,
        *,
        lane: str = "",
        on_progress: Progress = lambda fraction, text: None,
        **arguments: Any,
    ) -> Any:
        """Runs a function of ``perception_contrast_studio.tasks`` and returns its result.

        Cancelling the call takes a waiting task out of its lane, and ends the process of a running one.

        Args:
            task: ``room.module:function``.
            lane: The name of the task's module by default.
            on_progress: Called in the event loop with a fraction from 0 to 1 and a text.
            **arguments: Of the function; plain values and arrays.

        Raises:
            TaskError: The task was refused, failed, or its process ended.
        """
        if self._closed:
            raise TaskCancelledError("the studio is being closed")
        loop = asyncio.get_running_loop()

        def forward(fraction: float, text: str) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(on_progress, fraction, text)

        name = lane or task.partition(":")[0].rpartition(".")[2]
        chosen = self._lanes.setdefault(name, _Lane(name, self._idle_seconds))
        if chosen.waiting >= MOST_WAITING:
            raise TaskError("the studio computes for many others at this moment; try again in a while")
        job = _Job(f"{TASKS}.{task}", arguments, forward)
        chosen.put(job)
        try:
            return await asyncio.wrap_future(job.future)
        except asyncio.CancelledError:
            chosen.cancel(job)
            raise

    def pids(self) -> dict[str, int]:
        """Process ids of the lanes that run."""
        found = {name: lane.pid for name, lane in self._lanes.items()}
        return {name: pid for name, pid in found.items() if pid is not None}

    def close(self) -> None:
        """Ends all processes; what waits or runs raises TaskCancelledError."""
        self._closed = True
        for lane in self._lanes.values():
            lane.close()


class _Job:
    def __init__(self, task: str, arguments: dict[str, Any], progress: Progress) -> None:
        self.task, self.arguments, self.progress = task, arguments, progress
        self.future: Future[Any] = Future()
        self.cancelled = False


class _Lane:
    """One process and the thread that talks to it."""

    def __init__(self, name: str, idle_seconds: float) -> None:
        self._name, self._idle_seconds = name, idle_seconds
        self._waiting: list[_Job] = []
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None
        self._current: _Job | None = None
        self._closed = False

    @property
    def pid(self) -> int | None:
        process = self._process
        return process.pid if process is not None and process.is_alive() else None

    @property
    def waiting(self) -> int:
        """Number of tasks behind the one that runs."""
        return len(self._waiting)

    def put(self, job: _Job) -> None:
        with self._changed:
            self._waiting.append(job)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=f"studio {self._name}", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def cancel(self, job: _Job) -> None:
        with self._changed:
            if job in self._waiting:
                self._waiting.remove(job)
            elif job is self._current and self._process is not None:
                job.cancelled = True
                self._process.terminate()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            for job in self._waiting:
                job.future.set_exception(TaskCancelledError("the studio was closed"))
            self._waiting.clear()
            self._changed.notify_all()
            process, thread = self._process, self._thread
        if process is not None:
            process.terminate()
        if thread is not None:
            thread.join(5.0)

    def _next(self) -> _Job | None:
        """Waits; None when the lane was closed or idle for long."""
        end = time.monotonic() + self._idle_seconds
        with self._changed:
            while not self._waiting:
                left = end - time.monotonic()
                if self._closed or left <= 0.0:
                    self._thread = None
                    return None
                self._changed.wait(left)
            self._current = self._waiting.pop(0)
            return self._current

    def _work(self) -> None:
        while (job := self._next()) is not None:
            if job.future.set_running_or_notify_cancel():
                self._run(job)
            with self._changed:
                self._current = None
        self._end_process()

    def _run(self, job: _Job) -> None:
        try:
            pipe = self._running_pipe()
            pipe.send((job.task, job.arguments))
            while (answer := pipe.recv())[0] == "progress":
                job.progress(*answer[1:])
        except (EOFError, OSError) as error:
            code = self._end_process()
            if self._closed or job.cancelled:
                job.future.set_exception(TaskCancelledError("the task was cancelled, or the studio closed"))
                return
            _LOG.warning("the worker '%s' ended (exit code %s): %r", self._name, code, error)
            reason = "it was stopped by the system, as when memory runs out" if code == -9 else f"code {code}"
            job.future.set_exception(
                TaskError(
                    f"the process that computed '{self._name}' ended ({reason}); try again with less data"
                )
            )
            return
        kind, value = answer
        if kind == "result":
            job.future.set_result(value)
        elif kind == "refused":
            job.future.set_exception(TaskError(value))
        else:
            _LOG.error("task %s failed:\n%s", job.task, value)
            job.future.set_exception(TaskError(f"it failed: {value.strip().splitlines()[-1]}"))

    def _running_pipe(self) -> Connection:
        if self._process is not None and self._process.is_alive() and self._pipe is not None:
            return self._pipe
        self._end_process()
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=run_worker, args=(theirs,), name=f"studio {self._name}", daemon=True)
        process.start()
        theirs.close()
        with self._changed:
            self._process, self._pipe = process, ours
            if self._closed:
                process.terminate()
        return ours

    def _end_process(self) -> int | None:
        with self._changed:
            process, pipe = self._process, self._pipe
            self._process = self._pipe = None
        if pipe is not None:
            pipe.close()
        if process is None:
            return None
        process.join(2.0)
        if process.is_alive():
            process.kill()
            process.join()
        return process.exitcode
