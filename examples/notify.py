#!/usr/bin/env python3
"""Reports when an object appears and when it is gone.

python3 notify.py --ros-args -p labels:="[mug, person]"

Publishes the label as std_msgs/String on ~/appeared and ~/gone. The labels are added to the queries
of perception_node.
"""

from __future__ import annotations

import time
from collections import defaultdict

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from std_msgs.msg import String

from perception_contrast.client import ClientError, ClosedError, Detections, PerceptionClient


class Presence:
    """Whether one object is there, from frames in which it was or was not detected.

    It appears after ``frames`` frames in a row with it, and is gone after ``patience`` seconds without.
    """

    def __init__(self, frames: int, patience: float) -> None:
        self._frames, self._patience = frames, patience
        self._in_a_row, self._last_seen = 0, 0.0
        self.there = False

    def update(self, seen: bool, now: float) -> str:
        """ "appeared", "gone" or "" for no change. now: seconds of any steady clock."""
        self._in_a_row = self._in_a_row + 1 if seen else 0
        if seen:
            self._last_seen = now
        if not self.there and self._in_a_row >= self._frames:
            self.there = True
            return "appeared"
        if self.there and now - self._last_seen > self._patience:
            self.there = False
            return "gone"
        return ""


class Notify(Node):
    def __init__(self, **arguments: object) -> None:
        super().__init__("notify", **arguments)
        self._labels = list(self.declare_parameter("labels", ["mug"]).value)
        self._minimum = float(self.declare_parameter("minimum_score", 0.0).value)
        frames = int(self.declare_parameter("frames", 3).value)
        patience = float(self.declare_parameter("gone_after", 2.0).value)
        self._presence = defaultdict(lambda: Presence(frames, patience))
        self._change_publishers = {
            change: self.create_publisher(String, f"~/{change}", 10) for change in ("appeared", "gone")
        }
        self._client = PerceptionClient(self)

    def run(self) -> None:
        """Returns when the client is closed. Raises ClientError if perception_node cannot be used."""
        self.get_logger().info(f"waiting for {self._client.target}")
        self._client.wait_until_active()
        self._client.also_ask(self._labels)
        self.get_logger().info(f"waiting for {', '.join(self._labels)}")
        with self._client.detections() as stream:
            for detections in stream:
                self._on_detections(detections)

    def _on_detections(self, detections: Detections) -> None:
        for label in self._labels:
            best = detections.best(label, self._minimum)
            change = self._presence[label].update(best is not None, time.monotonic())
            if change:
                score = f" ({best.score:.2f})" if best else ""
                self.get_logger().info(f"{label} {change}{score}")
                self._change_publishers[change].publish(String(data=label))

    def close(self) -> None:
        self._client.close()
        self.destroy_node()


def main() -> None:
    rclpy.init()
    node = Notify()
    try:
        node.run()
    except (KeyboardInterrupt, ExternalShutdownException, ClosedError):
        pass
    except ClientError as error:
        node.get_logger().error(str(error))
    finally:
        node.close()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
