"""The node's side of the `bond` protocol, by which nav2's lifecycle manager sees that a node lives.

Both sides publish their heartbeats on one topic, under the bond's name. nav2's manager gives up the bring-up
of a node that has no bond, and takes all its nodes down when the bond of one breaks.
"""

from __future__ import annotations

import enum
import threading
import time
import uuid
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from perception_contrast.ros.messages.message_classes import message_class
from perception_contrast.ros.qos import output_qos

TOPIC = "bond"
# Seconds, as of bondcpp: how long a side waits for the other one, and what a heartbeat may be late by.
CONNECT_TIMEOUT = 10.0
HEARTBEAT_TIMEOUT = 4.0
# Seconds: how often the end of a bond is told, and how long its answer is waited for, as bondcpp does.
END_PERIOD, END_PATIENCE = 0.05, 0.1
# Heartbeats of all managed nodes come on one topic.
_QUEUE = 100


class BondState(enum.Enum):
    """Of one side of a bond."""

    WAITING = "waiting for the other side"
    FORMED = "formed"
    ENDING = "told the end, which the other side has not answered"
    BROKEN = "broken"


class LifecycleBond:
    """A bond that is open while the node is active.

    A manager that falls silent does not break it, as with nav2's own nodes: without its manager, a node goes
    on. Where no manager answers within CONNECT_TIMEOUT, the heartbeats stop until the next activation.

    Args:
        period: Seconds between two heartbeats; 0 for no bond.
    """

    def __init__(self, node: Node, period: float) -> None:
        self._node, self._period = node, period
        self._kind = message_class("bond/msg/Status") if period > 0.0 else None
        self._warned = False
        self._bond: _Bond | None = None

    @property
    def state(self) -> BondState | None:
        """None while there is no bond."""
        return None if self._bond is None else self._bond.state

    def start(self) -> None:
        """Begins a new bond; to be called when the node has been activated."""
        self.end()
        if self._kind is not None:
            self._bond = _Bond(self._node, self._kind, self._period)
        elif self._period > 0.0 and not self._warned:
            self._warned = True
            self._node.get_logger().info(
                "no bond with a lifecycle manager: the ROS package `bond` is not installed; nav2's manager "
                "needs it (apt install ros-<distribution>-bond), or its own `bond_timeout: 0.0`"
            )

    def end(self) -> None:
        """Breaks the bond, if there is one, and waits shortly for the other side to know."""
        bond, self._bond = self._bond, None
        if bond is not None:
            bond.end()


class _Bond:
    """One bond, from an activation to the next deactivation. Any thread may call."""

    def __init__(self, node: Node, kind: Any, period: float) -> None:
        self._kind, self._period = kind, period
        # The bond's name is the node's; nav2 names no namespace in it.
        self._id, self._instance = node.get_name(), str(uuid.uuid4())
        self._lock = threading.Lock()
        self._broken = threading.Event()
        self._other_ended_first = False
        self.state = BondState.WAITING
        self._give_up = time.monotonic() + CONNECT_TIMEOUT
        # A group of its own: a heartbeat must wait for no other callback.
        group = MutuallyExclusiveCallbackGroup()
        self._clock = Clock(clock_type=ClockType.STEADY_TIME)
        self._publisher = node.create_publisher(kind, TOPIC, output_qos(5))
        subscription = node.create_subscription(
            kind, TOPIC, self._on_status, output_qos(_QUEUE), callback_group=group
        )
        self._timer = node.create_timer(period, self._beat, callback_group=group, clock=self._clock)
        self._open: tuple[tuple[Any, Any], ...] = (
            (node.destroy_timer, self._timer),
            (node.destroy_subscription, subscription),
            (node.destroy_publisher, self._publisher),
        )

    def end(self) -> None:
        with self._lock:
            formed, broken = self.state is BondState.FORMED, self.state is BondState.BROKEN
            self.state = BondState.ENDING if formed else BondState.BROKEN
            if not broken:
                self._publish(active=False)
        if formed:
            self._wait_for_answer()
        self._close()

    def _close(self) -> None:
        """With the lock, so that no callback uses what has just been destroyed."""
        with self._lock:
            entities, self._open = self._open, ()
            for destroy, entity in entities:
                destroy(entity)

    def _wait_for_answer(self) -> None:
        """Tells the end again until the other side answers. No word of it may come after the next start."""
        deadline = time.monotonic() + END_PATIENCE
        while not self._broken.wait(END_PERIOD) and time.monotonic() < deadline:
            with self._lock:
                self._publish(active=False)

    def _beat(self) -> None:
        with self._lock:
            given_up = self.state is BondState.WAITING and time.monotonic() >= self._give_up
            if given_up:
                self.state = BondState.BROKEN
            elif self.state in (BondState.WAITING, BondState.FORMED):
                self._publish(active=True)
            elif self._open:
                self._timer.cancel()
        if given_up:
            # Nobody is there who must be told, and the heartbeats of other nodes need not be read.
            self._close()

    def _on_status(self, message: Any) -> None:
        if message.id != self._id or message.instance_id == self._instance:
            return
        with self._lock:
            if message.active:
                if self.state is BondState.WAITING:
                    self.state = BondState.FORMED
                return
            self._other_ended_first |= self.state in (BondState.WAITING, BondState.FORMED)
            self.state = BondState.BROKEN
            self._broken.set()
            if self._other_ended_first:
                self._publish(active=False)

    def _publish(self, *, active: bool) -> None:
        if not self._open:
            return
        message = self._kind(
            id=self._id,
            instance_id=self._instance,
            active=active,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            heartbeat_period=self._period,
        )
        message.header.stamp = self._clock.now().to_msg()
        self._publisher.publish(message)
