"""Snapshots are written beside what makes the map: one at a time, not too often, and failures are told."""

from __future__ import annotations

import threading

import pytest

from perception_contrast.core.errors import StorageError
from perception_contrast.mapping.storage.snapshot_thread import SnapshotThread


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def refused() -> None:
    raise StorageError("'x' cannot be written: make room there")


def test_one_is_written_at_a_time() -> None:
    snapshots, go_on = SnapshotThread(), threading.Event()

    def waiting() -> None:
        assert go_on.wait(60)

    assert snapshots.start(waiting)
    assert not snapshots.may_start(urgent=True) and not snapshots.start(refused)
    go_on.set()
    snapshots.wait()
    assert snapshots.problem == "" and snapshots.start(lambda: None)
    snapshots.wait()


def test_one_that_took_long_is_not_soon_followed_by_another() -> None:
    clock = Clock()
    snapshots = SnapshotThread(clock)

    def long() -> None:
        clock.now += 3.0

    assert not snapshots.may_start(10.0)
    clock.now = 10.0
    assert snapshots.may_start(10.0) and snapshots.write_here(long)
    assert snapshots.age == 0.0 and not snapshots.may_start() and snapshots.may_start(urgent=True)
    clock.now += 59.0
    assert not snapshots.may_start(10.0)
    clock.now += 2.0
    assert snapshots.may_start(10.0) and not snapshots.may_start(100.0)


def test_a_failure_is_told_until_one_succeeds_and_is_not_repeated_at_once() -> None:
    clock = Clock()
    snapshots = SnapshotThread(clock)
    snapshots.start(refused)
    snapshots.wait()
    assert "make room" in snapshots.problem and not snapshots.may_start(urgent=True)
    clock.now += 60.0
    assert snapshots.may_start(urgent=True)
    with pytest.raises(StorageError, match="make room"):
        snapshots.run(refused)
    snapshots.run(lambda: None)
    assert snapshots.problem == ""


def test_a_fault_in_the_program_is_told_too() -> None:
    snapshots = SnapshotThread()

    def faulty() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        snapshots.run(faulty)
    assert "internal error" in snapshots.problem


def test_who_has_the_lock_can_stop_what_waits_for_it() -> None:
    snapshots, lock, held = SnapshotThread(), threading.RLock(), []

    def write() -> None:
        with snapshots.hold(lock) as is_held:
            held.append(is_held)

    with lock:
        snapshots.start(write)
        snapshots.stop()
    snapshots.run(write)
    assert held == [False, True]
