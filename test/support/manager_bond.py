"""The lifecycle manager's side of a bond, as bondcpp's table of states has it (bond_core, BondSM.sm).

A table of its own, so that the node's side is held against the protocol and not against itself.
"""

from __future__ import annotations

import threading
import time
import uuid
from typing import Any

from bond.msg import Status
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

WAITING, ALIVE, AWAIT_DEATH, DEAD = "WaitingForSister", "Alive", "AwaitSisterDeath", "Dead"
# (state, event) to the next state.
TABLE = {
    (WAITING, "SisterAlive"): ALIVE,
    (WAITING, "SisterDead"): DEAD,
    (WAITING, "ConnectTimeout"): DEAD,
    (WAITING, "Die"): DEAD,
    (ALIVE, "SisterAlive"): ALIVE,
    (ALIVE, "SisterDead"): DEAD,
    (ALIVE, "HeartbeatTimeout"): DEAD,
    (ALIVE, "Die"): AWAIT_DEATH,
    (AWAIT_DEATH, "SisterDead"): DEAD,
    (AWAIT_DEATH, "DisconnectTimeout"): DEAD,
}


class ManagerBond:
    """What nav2's manager makes of a node after it has activated it.

    Attributes:
        state: Of TABLE.
        events: Why the state changed, in order.
        heard: Messages of the other side.
    """

    def __init__(self, node: Node, name: str, topic: str, heartbeat_timeout: float = 4.0) -> None:
        self._node, self._name, self._timeout = node, name, heartbeat_timeout
        self._lock, self._instance = threading.RLock(), str(uuid.uuid4())
        self.state = WAITING
        self.events: list[str] = []
        self.heard: list[Status] = []
        self._last = time.monotonic()
        self._publisher = node.create_publisher(Status, topic, 5)
        self._subscription = node.create_subscription(Status, topic, self._on_status, 100)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(0.1, self._beat, clock=steady)

    def die(self) -> None:
        """The manager breaks the bond."""
        with self._lock:
            self._event("Die")
            self._publish(False)

    def fall_silent(self) -> None:
        """The manager's process is gone: it says and hears nothing any more."""
        self._node.destroy_timer(self._timer)
        self._node.destroy_subscription(self._subscription)
        self._node.destroy_publisher(self._publisher)

    def _beat(self) -> None:
        with self._lock:
            if self.state == ALIVE and time.monotonic() - self._last > self._timeout:
                self._event("HeartbeatTimeout")
            if self.state != DEAD:
                self._publish(self.state in (WAITING, ALIVE))

    def _on_status(self, message: Any) -> None:
        if message.id != self._name or message.instance_id == self._instance:
            return
        with self._lock:
            self.heard.append(message)
            self._last = time.monotonic()
            died_first = not message.active and self.state in (WAITING, ALIVE)
            self._event("SisterAlive" if message.active else "SisterDead")
            if died_first:
                self._publish(False)

    def _event(self, name: str) -> None:
        after = TABLE.get((self.state, name), self.state)
        if after != self.state:
            self.state = after
            self.events.append(name)

    def _publish(self, active: bool) -> None:
        message = Status(id=self._name, instance_id=self._instance, active=active)
        message.heartbeat_timeout, message.heartbeat_period = self._timeout, 0.1
        self._publisher.publish(message)
