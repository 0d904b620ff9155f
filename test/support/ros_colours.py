"""perception_node with a tower that knows colours, and a camera that shows it a coloured square."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from colour_square import COLOURS, HEIGHT, SQUARE, WIDTH, image
from rclpy.node import Node
from rclpy.parameter import Parameter
from ros_graph import Spinning
from sensor_msgs.msg import CameraInfo, Image
from small_models import pipeline_of
from std_msgs.msg import Header

from perception_contrast.nodes.perception_node import PerceptionNode
from perception_contrast.ros.messages.image_messages import image_message
from perception_contrast.ros.qos import output_qos

__all__ = ["COLOURS", "HEIGHT", "SQUARE", "WIDTH", "Camera", "Colours", "image"]


class Colours:
    """perception_node in a namespace, spinning as its main() would have it."""

    def __init__(self, namespace: str, **values: Any) -> None:
        settings = {"short_side": 112, "max_tokens": 1024}

        def build(**arguments: Any) -> Any:
            return pipeline_of("colours", **settings)

        given = {"autostart": True, **settings, **values}
        overrides = [Parameter(name, value=value) for name, value in given.items()]
        self.node = PerceptionNode(build=build, namespace=namespace, parameter_overrides=overrides)
        self._spinning = Spinning(self.node)

    def close(self) -> None:
        self.node.close()
        self._spinning.stop()
        self.node.destroy_node()


class Camera:
    """Publishes the chosen image at 20 Hz, stamps from 1 s on; with depth and camera_info at a distance."""

    def __init__(self, node: Node, namespace: str, *, distance: float = 0.0) -> None:
        self.colour, self.count = "", 0
        self.distance = distance
        self._images = node.create_publisher(Image, f"{namespace}/image", output_qos())
        self._depth = node.create_publisher(Image, f"{namespace}/depth", output_qos())
        self._info = node.create_publisher(CameraInfo, f"{namespace}/camera_info", output_qos())
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._ended.wait(0.05):
            if not self.colour:
                continue
            self.count += 1
            header = Header(stamp=Time(sec=1 + self.count // 20, nanosec=50_000_000 * (self.count % 20)))
            header.frame_id = "camera_optical"
            if self.distance:
                depth = np.full((HEIGHT, WIDTH), self.distance, np.float32)
                self._depth.publish(image_message(depth, header))
                k = [100.0, 0.0, (WIDTH - 1) / 2, 0.0, 100.0, (HEIGHT - 1) / 2, 0.0, 0.0, 1.0]
                self._info.publish(CameraInfo(header=header, height=HEIGHT, width=WIDTH, k=k))
            self._images.publish(image_message(image(self.colour), header))

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
