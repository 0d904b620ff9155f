"""What cannot be taken for one entity must not silence those beside it."""

from __future__ import annotations

import pytest

rclpy = pytest.importorskip("rclpy")

from collections.abc import Iterator  # noqa: E402
from types import SimpleNamespace  # noqa: E402

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup  # noqa: E402
from rclpy.executors import Executor  # noqa: E402
from ros_graph import wait_for  # noqa: E402
from std_msgs.msg import String  # noqa: E402

from perception_contrast.ros.executors import ConcurrentExecutor, SequentialExecutor  # noqa: E402

pytestmark = pytest.mark.ros


@pytest.fixture(params=[ConcurrentExecutor, SequentialExecutor])
def beside(request: pytest.FixtureRequest) -> Iterator[SimpleNamespace]:
    """A timer and a subscription in one group of an executor."""
    rclpy.init()
    node, heard = rclpy.create_node("beside"), []
    group = MutuallyExclusiveCallbackGroup()
    node.create_subscription(String, "words", heard.append, 5, callback_group=group)
    ticks: list[int] = []
    timer = node.create_timer(0.01, lambda: ticks.append(1), callback_group=group)
    publisher = node.create_publisher(String, "words", 5)
    executor = request.param()
    executor.add_node(node)

    def spin_for(condition) -> None:
        def done() -> bool:
            executor.spin_once(timeout_sec=0.05)
            return bool(condition())

        wait_for(done, "a callback", patience=20.0)

    yield SimpleNamespace(publisher=publisher, heard=heard, timer=timer, ticks=ticks, spin_for=spin_for)
    executor.shutdown(timeout_sec=2.0)
    node.destroy_node()
    rclpy.shutdown()


def test_a_timer_that_is_cancelled_when_it_is_due_silences_nothing(beside, monkeypatch) -> None:
    take, late = Executor._take_timer, []

    def cancelled_first(self: Executor, timer: object) -> object:
        if timer is beside.timer:
            timer.cancel()
            late.append(timer)
        return take(self, timer)

    monkeypatch.setattr(Executor, "_take_timer", cancelled_first)
    beside.spin_for(lambda: late)
    beside.publisher.publish(String(data="still heard"))
    beside.spin_for(lambda: beside.heard)
    assert [one.data for one in beside.heard] == ["still heard"]
    # Nor is the timer lost.
    monkeypatch.undo()
    before = len(beside.ticks)
    beside.timer.reset()
    beside.spin_for(lambda: len(beside.ticks) > before)


def test_a_message_that_cannot_be_taken_costs_itself_alone(beside, monkeypatch) -> None:
    take, failed = Executor._take_subscription, []

    def fails_once(self: Executor, subscription: object) -> object:
        work = take(self, subscription)
        if not failed:
            failed.append(subscription)
            raise RuntimeError("it cannot be read")
        return work

    monkeypatch.setattr(Executor, "_take_subscription", fails_once)
    beside.publisher.publish(String(data="lost"))
    beside.spin_for(lambda: failed)
    beside.publisher.publish(String(data="heard"))
    beside.spin_for(lambda: beside.heard)
    assert [one.data for one in beside.heard] == ["heard"]
