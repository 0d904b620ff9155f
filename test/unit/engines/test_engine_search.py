"""A search runs tasks beside a thread that serves, and lets it go first."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from perception_contrast.engines.engine_search import EngineSearch, SearchCancelled

PATIENCE = 20.0


class Ended:
    """Counts the tasks that have ended."""

    def __init__(self) -> None:
        self.count, self._changed = 0, threading.Condition()

    def __call__(self) -> None:
        with self._changed:
            self.count += 1
            self._changed.notify_all()

    def wait_for(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.count >= count, PATIENCE)


@pytest.fixture
def search() -> Any:
    made = EngineSearch(pause=0.0)
    yield made
    made.close()


def engine_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "engines"]


def end_of(thread: threading.Thread) -> None:
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_tasks_run_one_at_a_time_and_first_ones_go_first(search: EngineSearch) -> None:
    order: list[str] = []
    begun, go_on, ended = threading.Event(), threading.Event(), Ended()

    def blocks() -> None:
        begun.set()
        assert go_on.wait(PATIENCE)
        order.append("began before")

    search.submit(blocks, ended)
    assert begun.wait(PATIENCE)
    search.submit(lambda: order.append("later"), ended)
    search.submit(lambda: order.append("first"), ended, first=True)
    assert not search.wait_for_first(0.05)
    (thread,) = engine_threads()
    go_on.set()
    assert search.wait_for_first(PATIENCE)
    ended.wait_for(3)
    assert order == ["began before", "first", "later"]
    end_of(thread)
    assert not search.is_busy


def test_no_candidate_runs_while_an_image_is_encoded(search: EngineSearch) -> None:
    ended, ran = Ended(), threading.Event()
    with search.serving():
        search.submit(lambda: search.in_turn(ran.set), ended)
        assert not ran.wait(0.3)
    assert ran.wait(PATIENCE)
    ended.wait_for(1)


def test_a_run_in_turn_gives_its_result_and_its_failure(search: EngineSearch) -> None:
    seen: list[Any] = []
    ended = Ended()

    def fails() -> None:
        raise RuntimeError("the engine's own")

    def task() -> None:
        seen.append(search.in_turn(lambda: 3))
        try:
            search.in_turn(fails)
        except RuntimeError as error:
            seen.append(str(error))

    search.submit(task, ended)
    ended.wait_for(1)
    assert seen == [3, "the engine's own"]
    with search.serving():
        pass


@pytest.mark.parametrize("how", ["close", "abandon"])
def test_what_is_called_off_ends_and_every_task_is_told_ended(how: str) -> None:
    search, ended, begun = EngineSearch(pause=0.0), Ended(), threading.Event()

    def endless() -> None:
        while True:
            search.in_turn(begun.set)

    ran: list[str] = []
    search.submit(endless, ended)
    search.submit(lambda: ran.append("never"), ended)
    assert begun.wait(PATIENCE)
    (thread,) = engine_threads()
    getattr(search, how)()
    end_of(thread)
    assert ended.count == 2 and not ran
    search.submit(lambda: ran.append("after"), ended)
    ended.wait_for(3)
    assert ran == ([] if how == "close" else ["after"])
    search.close()


def test_a_search_in_a_pause_or_held_is_called_off_too() -> None:
    search, ended, begun = EngineSearch(pause=1e6), Ended(), threading.Event()
    with search.serving():
        search.submit(lambda: (search.in_turn(begun.set), search.check()), ended)
    assert begun.wait(PATIENCE)
    (thread,) = engine_threads()
    search.hold()
    search.close()
    end_of(thread)


def test_a_task_that_fails_does_not_end_those_after_it(search: EngineSearch) -> None:
    ended, ran = Ended(), threading.Event()

    def fails() -> None:
        raise AttributeError("a mistake")

    search.submit(fails, ended)
    search.submit(ran.set, ended)
    ended.wait_for(2)
    assert ran.is_set()


def test_a_held_search_goes_on_where_it_was(search: EngineSearch) -> None:
    ended, steps = Ended(), []
    search.hold()
    search.submit(lambda: steps.append(search.in_turn(lambda: "ran")), ended)
    assert search.is_busy and not steps
    search.go_on()
    ended.wait_for(1)
    assert steps == ["ran"]


def test_calling_off_from_the_thread_that_serves_does_not_hang(search: EngineSearch) -> None:
    """As where memory runs out in the middle of an image."""
    ended, waits = Ended(), threading.Event()

    def task() -> None:
        waits.set()
        search.in_turn(lambda: None)

    with search.serving():
        search.submit(task, ended)
        assert waits.wait(PATIENCE)
        assert search.abandon()
        assert ended.count == 1
        # The thread cleans up before it ends, which takes long in a large process.
        deadline = time.monotonic() + 60
        while search.is_busy and time.monotonic() < deadline:
            time.sleep(0.01)
    assert not search.abandon()


def test_in_the_foreground_a_task_is_done_when_it_was_submitted() -> None:
    search, ended, threads = EngineSearch(background=False), Ended(), []
    with search.serving():
        search.submit(lambda: search.in_turn(lambda: threads.append(threading.current_thread())), ended)
    assert threads == [threading.current_thread()] and ended.count == 1


def test_a_cancelled_search_is_no_failure_of_an_engine() -> None:
    assert not issubclass(SearchCancelled, RuntimeError), "the gate takes those for the engine's"
