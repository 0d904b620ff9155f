"""The receiving process of ``loopback``: prints the number of each complete set of messages."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections import Counter
from typing import Any

import rclpy
from perception_contrast_msgs.msg import FeatureMap
from rclpy.executors import ExternalShutdownException
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2DArray

from perception_contrast.bench.dds_loopback import READY, TOPICS
from perception_contrast.ros.qos import output_qos

KINDS = {"features": FeatureMap, "masks": Image, "detections": Detection2DArray}


def main() -> int:
    """Argument: full name of the sending node. Ends with its standard input."""
    sender, arrived = sys.argv[1], Counter[int]()

    def on(message: Any) -> None:
        number = int(message.header.stamp.sec)
        arrived[number] += 1
        if arrived[number] == len(TOPICS):
            print(number, time.monotonic_ns(), flush=True)
            arrived.pop(number)

    def end_with_parent() -> None:
        sys.stdin.read()
        rclpy.try_shutdown()

    rclpy.init()
    node = rclpy.create_node("bench_receiver")
    for name in TOPICS:
        node.create_subscription(KINDS[name], f"{sender}/{name}", on, output_qos())
    threading.Thread(target=end_with_parent, daemon=True).start()
    print(READY, flush=True)
    with contextlib.suppress(ExternalShutdownException, KeyboardInterrupt):
        rclpy.spin(node)
    return 0


if __name__ == "__main__":
    sys.exit(main())
