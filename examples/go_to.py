#!/usr/bin/env python3
"""Drives to a thing that is named: asks the map for a pose that faces it, and Nav2 to go there.

python3 go_to.py --ros-args -p thing:="red mug"

Needs perception_node, map_node and Nav2. The goal goes to the action `navigate_to_pose`; where nav2_msgs is
not installed it is published on `goal_pose`, which Nav2 takes as well. Whatever comes of it is said on
~/status.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import rclpy
from geometry_msgs.msg import PoseStamped
from rclpy.action import ActionClient
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import String

from perception_contrast.client import ApproachPose, ClientError, PerceptionClient


class GoTo(Node):
    """Goes to one thing. Parameters: thing (words), distance (metres, 0 for the map's own), patience (s)."""

    def __init__(self, **options: Any) -> None:
        super().__init__("go_to", **options)
        self._thing = self.declare_parameter("thing", "").value
        self._distance = self.declare_parameter("distance", 0.0).value
        self._patience = self.declare_parameter("patience", 30.0).value
        # Two reports may come at once.
        latched = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._status = self.create_publisher(String, "~/status", latched)
        self._goals = self.create_publisher(PoseStamped, "goal_pose", 1)
        self._perception = PerceptionClient(self)
        self.done = threading.Event()

    def start(self) -> None:
        """Begins; ``done`` is set at the end."""
        threading.Thread(target=self._go, daemon=True).start()

    def close(self) -> None:
        """Ends the client."""
        self._perception.close()

    def say(self, text: str) -> None:
        """On the log and on ~/status."""
        self.get_logger().info(text)
        self._status.publish(String(data=text))

    def _go(self) -> None:
        try:
            place = self._perception.approach(self._thing, self._distance, self._patience)
        except ClientError as error:
            self.say(f"cannot go to '{self._thing}': {error}")
            self.done.set()
            return
        self.say(f"going to '{place.thing.label}': x {place.x:.2f} y {place.y:.2f} m, yaw {place.yaw:.2f}")
        if (kind := navigate_to_pose()) is None:
            self._goals.publish(place.pose)
            self.say(
                "the goal was published on goal_pose; nav2_msgs is not installed, so its end is not known"
            )
            self.done.set()
            return
        self._send(kind, place, self._finished)

    def _send(self, kind: Any, place: ApproachPose, finished: Callable[[str], None]) -> None:
        client = ActionClient(self, kind, "navigate_to_pose")
        if not client.wait_for_server(timeout_sec=self._patience):
            finished("nobody offers navigate_to_pose; start Nav2")
            return
        sent = client.send_goal_async(kind.Goal(pose=place.pose))
        sent.add_done_callback(lambda future: self._accepted(future.result(), finished))

    def _accepted(self, goal: Any, finished: Callable[[str], None]) -> None:
        if not goal.accepted:
            finished("Nav2 refused the goal")
            return
        goal.get_result_async().add_done_callback(
            lambda future: finished("there" if future.result().status == 4 else "Nav2 did not get there")
        )

    def _finished(self, text: str) -> None:
        self.say(text)
        self.done.set()


def navigate_to_pose() -> Any:
    """Nav2's action type; None where it is not installed."""
    try:
        from nav2_msgs.action import NavigateToPose
    except ImportError:
        return None
    return NavigateToPose


def main() -> None:
    rclpy.init()
    node = GoTo()
    node.start()
    try:
        while not node.done.is_set():
            rclpy.spin_once(node, timeout_sec=0.2)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.close()
        rclpy.try_shutdown()


if __name__ == "__main__":
    sys.exit(main())
