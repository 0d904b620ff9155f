"""The fair latest-frame-wins worker and the statistics: no ROS needed."""

from __future__ import annotations

import threading
import time
from collections import Counter

import pytest

from perception_contrast.ros.camera.scheduler import DropCounts, FairQueue, FairWorker, Scheduled
from perception_contrast.ros.monitoring.statistics import Statistics


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
    worker = FairWorker(lambda batch: [work(one.item) for one in batch], work.errors.append)
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
    assert worker.dropped() == DropCounts(replaced=2)


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


def test_draining_waits_for_the_call_in_progress_and_drops_what_waits(gated) -> None:
    work, worker = gated
    worker.submit(1)
    assert work.begun.acquire(timeout=5)
    worker.submit(2)
    assert not worker.drain(timeout=0.01) and worker.busy_seconds > 0.0
    work.go.release()
    assert worker.drain(timeout=5) and worker.busy_seconds == 0.0
    assert work.done == [1]


def test_draining_ends_with_the_call_in_progress_and_not_with_its_patience(gated) -> None:
    work, worker = gated
    worker.submit(1)
    assert work.begun.acquire(timeout=5)
    draining = threading.Thread(target=worker.drain, kwargs={"timeout": 120.0}, daemon=True)
    draining.start()
    draining.join(0.1)
    assert draining.is_alive()
    work.go.release()
    draining.join(30)
    assert not draining.is_alive()


def fair_queue(**weights: float) -> FairQueue[int]:
    made: FairQueue[int] = FairQueue(list(weights))
    made.configure(weights, dict.fromkeys(weights, 0.0))
    return made


def served(
    queue: FairQueue[int], arrivals: dict[str, float], seconds: float, cost: float, start: float = 0.0
) -> Counter[str]:
    """Frames of each camera that are computed when frames arrive at these rates and each costs ``cost``."""
    now, counts = start, Counter()
    due = dict.fromkeys(arrivals, start)
    while now < start + seconds:
        for name, rate in arrivals.items():
            while due[name] <= now:
                queue.put(name, 0, due[name])
                due[name] += 1.0 / rate
        batch = queue.take_batch(now)
        counts.update(one.camera for one in batch)
        now += cost * len(batch) or 0.001
    return counts


def test_equal_weights_share_equally_in_batches_of_all_who_wait() -> None:
    queue = fair_queue(front=1, left=1, rear=1)
    counts = served(queue, {"front": 10, "left": 10, "rear": 30}, 60.0, cost=0.1)
    assert max(counts.values()) <= 1.02 * min(counts.values())
    for name in ("front", "left", "rear"):
        queue.put(name, 0, 100.0)
    assert {one.camera for one in queue.take_batch(100.0)} == {"front", "left", "rear"}


def test_weights_are_shares_of_the_work() -> None:
    counts = served(
        fair_queue(front=3, left=1.5, rear=1), dict.fromkeys(("front", "left", "rear"), 50), 110.0, 0.05
    )
    assert counts["front"] / counts["rear"] == pytest.approx(3.0, rel=0.02)
    assert counts["left"] / counts["rear"] == pytest.approx(1.5, rel=0.02)


def test_what_a_silent_camera_leaves_goes_to_the_others_and_it_gets_no_arrears() -> None:
    queue = fair_queue(front=1, left=1, rear=1)
    everyone = served(queue, dict.fromkeys(("front", "left", "rear"), 50), 30.0, cost=0.1)
    two = served(queue, dict.fromkeys(("front", "left"), 50), 30.0, cost=0.1, start=50.0)
    assert two["front"] == pytest.approx(1.5 * everyone["front"], rel=0.05)
    again = served(queue, dict.fromkeys(("front", "left", "rear"), 50), 30.0, cost=0.1, start=100.0)
    assert again["rear"] == pytest.approx(again["front"], rel=0.05)


def test_a_slow_camera_is_served_whenever_it_has_a_frame() -> None:
    counts = served(fair_queue(front=1, slow=1), {"front": 100, "slow": 1}, 50.0, cost=0.2)
    assert counts["slow"] >= 49


def test_rates_are_kept_for_each_camera_and_what_they_cost_is_counted_apart() -> None:
    queue: FairQueue[int] = FairQueue(["front", "left"])
    queue.configure({"front": 1, "left": 1}, {"front": 0.5, "left": 0.0}, max_batch=1)
    counts = served(queue, {"front": 20, "left": 20}, 20.0, cost=0.01)
    assert 39 <= counts["front"] <= 41 and counts["left"] >= 390
    dropped = queue.dropped("front")
    assert dropped.rate_limited > 300 and dropped.replaced < 10
    queue.put("front", 1, 100.0)
    assert queue.seconds_until_ready(100.0) == 0.0 and queue.take_batch(100.0) == [Scheduled("front", 1)]
    queue.put("front", 2, 100.1)
    assert queue.take_batch(100.1) == [] and queue.seconds_until_ready(100.1) == pytest.approx(0.4)


def test_a_batch_is_no_larger_than_is_asked_for() -> None:
    queue = fair_queue(a=1, b=1, c=1)
    queue.configure(dict.fromkeys("abc", 1.0), dict.fromkeys("abc", 0.0), max_batch=2)
    for name in "abc":
        queue.put(name, 0, 0.0)
    first, second = queue.take_batch(0.0), queue.take_batch(0.0)
    assert [len(first), len(second)] == [2, 1]
    assert {one.camera for one in first + second} == set("abc")


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
