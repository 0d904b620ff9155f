#!/usr/bin/env python3
"""Tells when a thing was moved, or is gone, by the map.

python3 moved.py --ros-args -p thing:=mug -p metres:=0.2

Publishes a sentence on ~/news each time that a thing of that name stands elsewhere, is gone, or is seen for
the first time. Needs perception_node, whose queries name the thing, and map_node.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from std_msgs.msg import String

from perception_contrast.client import ClientError, MapThing, PerceptionClient


class News:
    """What is new about things of one name. metres: a shorter move is none."""

    def __init__(self, metres: float) -> None:
        self._metres = metres
        self._known: dict[str, tuple[np.ndarray, str]] = {}

    def of(self, things: tuple[MapThing, ...]) -> list[str]:
        """Sentences on what differs from the call before."""
        lines = []
        for one in things:
            if not one.id or one.status == "unconfirmed":
                continue
            place = np.asarray(one.position)
            known = self._known.get(one.id)
            where = "x {:.2f} y {:.2f} z {:.2f} m".format(*place)
            if known is None:
                lines.append(f"{one.label} {one.id} was seen at {where}")
            elif one.status == "gone" and known[1] != "gone":
                lines.append(f"{one.label} {one.id} is gone from {where}")
            elif one.status != "gone" and np.linalg.norm(place - known[0]) >= self._metres:
                lines.append(f"{one.label} {one.id} was moved to {where}")
            elif one.status == known[1]:
                continue
            self._known[one.id] = (place, one.status)
        return lines


class Moved(Node):
    """Asks the map once a second. Parameters: thing (label), metres, period (s)."""

    def __init__(self, **options: Any) -> None:
        super().__init__("moved", **options)
        self._thing = self.declare_parameter("thing", "").value
        self._news = News(float(self.declare_parameter("metres", 0.2).value))
        self._perception = PerceptionClient(self)
        self._publisher = self.create_publisher(String, "~/news", 10)
        self.create_timer(float(self.declare_parameter("period", 1.0).value), self._ask)

    def close(self) -> None:
        """Ends the client."""
        self._perception.close()

    def _ask(self) -> None:
        try:
            found = self._perception.map.find(label=self._thing, include_gone=True, timeout=5.0)
        except ClientError as error:
            self.get_logger().warning(str(error), throttle_duration_sec=10.0)
            return
        for line in self._news.of(found.things):
            self.get_logger().info(line)
            self._publisher.publish(String(data=line))


def main() -> None:
    rclpy.init()
    node = Moved()
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.close()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
