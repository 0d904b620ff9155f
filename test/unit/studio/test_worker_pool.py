"""Tasks in processes of their own: results, progress, errors, death, cancelling, idleness."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from perception_contrast_studio.workers import worker_pool
from perception_contrast_studio.workers.worker_pool import TaskCancelledError, TaskError, WorkerPool


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[WorkerPool]:
    monkeypatch.setattr(worker_pool, "TASKS", "studio_tasks")
    found = WorkerPool(idle_seconds=0.5)
    yield found
    found.close()


def test_a_task_answers_with_progress_and_in_another_process(pool: WorkerPool) -> None:
    told: list[tuple[float, str]] = []

    async def run() -> int:
        return int(await pool.run("small:count", on_progress=lambda *words: told.append(words), steps=3))

    assert asyncio.run(run()) != os.getpid()
    assert told == [(1 / 3, "step 1"), (2 / 3, "step 2"), (1.0, "step 3")]


def test_errors_are_told_and_the_next_task_is_done(pool: WorkerPool) -> None:
    async def run() -> None:
        with pytest.raises(TaskError, match="choose another folder"):
            await pool.run("small:refuse")
        with pytest.raises(TaskError, match="ZeroDivisionError"):
            await pool.run("small:fail")
        with pytest.raises(TaskError, match="ended"):
            await pool.run("small:die")
        assert await pool.run("small:add", left=2, right=3) == 5

    asyncio.run(run())


def test_cancelling_ends_a_running_task_and_leaves_the_others(pool: WorkerPool) -> None:
    async def run() -> None:
        await pool.run("small:add", left=0, right=0)
        slow = asyncio.create_task(pool.run("small:sleep", seconds=60.0))
        waiting = asyncio.create_task(pool.run("small:sleep", seconds=60.0))
        after = asyncio.create_task(pool.run("small:add", left=1, right=1))
        await asyncio.sleep(0.2)
        waiting.cancel()
        slow.cancel()
        assert await asyncio.wait_for(after, 30.0) == 2

    asyncio.run(run())


def test_an_idle_worker_gives_its_memory_back(pool: WorkerPool) -> None:
    async def run() -> None:
        await pool.run("small:add", left=1, right=1)
        (pid,) = pool.pids().values()
        with pytest.raises(ProcessLookupError):
            for _ in range(100):
                os.kill(pid, 0)
                await asyncio.sleep(0.1)
        assert await pool.run("small:add", left=1, right=1) == 2

    asyncio.run(run())


def test_closing_ends_what_runs(pool: WorkerPool) -> None:
    async def run() -> None:
        await pool.run("small:add", left=1, right=1)
        slow = asyncio.create_task(pool.run("small:sleep", seconds=60.0))
        await asyncio.sleep(0.2)
        await asyncio.to_thread(pool.close)
        with pytest.raises(TaskCancelledError):
            await slow

    asyncio.run(run())


def test_a_worker_outlives_an_interrupt_of_the_terminal(pool: WorkerPool) -> None:
    async def run() -> None:
        await pool.run("small:add", left=1, right=1)
        (pid,) = pool.pids().values()
        os.kill(pid, signal.SIGINT)
        assert await pool.run("small:add", left=1, right=2) == 3
        assert pid in pool.pids().values()

    asyncio.run(run())


def test_a_lane_that_too_many_wait_for_takes_no_more(
    pool: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_pool, "MOST_WAITING", 2)

    async def run() -> None:
        await pool.run("small:add", left=0, right=0)
        running = asyncio.create_task(pool.run("small:sleep", seconds=60.0))
        await asyncio.sleep(0.2)
        waiting = [asyncio.create_task(pool.run("small:add", left=1, right=1)) for _ in range(2)]
        await asyncio.sleep(0.1)
        with pytest.raises(TaskError, match="try again"):
            await pool.run("small:add", left=2, right=2)
        assert await pool.run("small:add", lane="other", left=2, right=2) == 4
        running.cancel()
        assert await asyncio.wait_for(asyncio.gather(*waiting), 30.0) == [2, 2]

    asyncio.run(run())
