"""The latest-frame-wins worker and the statistics: no ROS needed."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from perception_contrast.ros.statistics import Statistics
from perception_contrast.ros.worker import LatestWorker


class Gated:
    """Work that announces its start and waits to be let go."""

    def __init__(self) -> None:
        self.done: list[int] = []
        self.errors: list[Exception] = []
        self.begun, self.go = threading.Semaphore(0), threading.Semaphore(0)

    def __call__(self, item: int) -> None:
        self.begun.release()
        assert self.go.acquire(timeout=5)
        if item < 0:
            raise ValueError(f"item {item}")
        self.done.append(item)


@pytest.fixture
def gated():
    work = Gated()
    worker = LatestWorker(work, work.errors.append)
    yield work, worker
    work.go.release(100)
    assert worker.stop()


def test_the_latest_waiting_item_wins_and_the_others_are_counted(gated) -> None:
    work, worker = gated
    worker.submit(1)
    assert work.begun.acquire(timeout=5)
    for item in (2, 3, 4):
        worker.submit(item)
    work.go.release(2)
    assert work.begun.acquire(timeout=5)
    assert worker.stop()
    assert work.done == [1, 4]
    assert worker.replaced == 2


def test_an_exception_is_reported_and_the_next_item_is_worked_on(gated) -> None:
    work, worker = gated
    work.go.release(2)
    worker.submit(-1)
    assert work.begun.acquire(timeout=5)
    while not work.errors:
        time.sleep(0.01)
    worker.submit(5)
    assert work.begun.acquire(timeout=5)
    assert worker.stop()
    assert work.done == [5] and [str(error) for error in work.errors] == ["item -1"]


def test_after_stop_nothing_is_accepted(gated) -> None:
    work, worker = gated
    assert worker.stop()
    assert not worker.submit(1)
    assert work.done == []


def test_min_interval_spaces_the_starts() -> None:
    starts: list[float] = []
    worker = LatestWorker(lambda _: starts.append(time.monotonic()), lambda error: None, min_interval=0.05)
    end = time.monotonic() + 0.3
    while time.monotonic() < end:
        worker.submit(0)
        time.sleep(0.002)
    assert worker.stop()
    assert len(starts) >= 2
    assert min(np.diff(starts)) >= 0.05


def test_rates_ages_and_percentiles() -> None:
    now = 100.0
    statistics = Statistics(clock=lambda: now)
    assert statistics.snapshot().age_in == float("inf")
    for _ in range(21):
        statistics.frame_in()
        now += 0.1
    for value in range(1, 102):
        statistics.latency({"encode": float(value)})
    seen = statistics.snapshot()
    assert seen.frames_in == 21 and seen.frames_out == 0
    assert seen.in_hz == pytest.approx(10.0)
    assert seen.age_in == pytest.approx(0.1)
    assert seen.latency["encode"] == pytest.approx((51.0, 96.0))
    now += 60.0
    assert statistics.snapshot().in_hz == 0.0


def test_malformed_input_is_counted_by_reason_and_forgotten_as_news_but_not_as_count() -> None:
    now = 0.0
    statistics = Statistics(clock=lambda: now)
    statistics.malformed("step", "step 10 is too small")
    statistics.malformed("step", "step 11 is too small")
    assert statistics.snapshot().recent_malformed == "step 11 is too small"
    now = 60.0
    assert statistics.snapshot().recent_malformed == ""
    assert statistics.snapshot().malformed == {"step": 2}
