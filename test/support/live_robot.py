"""A robot of two processes for the studio's tests: a camera, and a perception_node that knows colours.

python live_robot.py camera     # a coloured square on white, stamped with the time
python live_robot.py node       # perception_node with the tower of ros_colours
"""

from __future__ import annotations

import sys
import threading
import time

import rclpy
from colour_square import image
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from perception_contrast.ros.messages.image_messages import image_message, time_message
from perception_contrast.ros.qos import output_qos


def camera(colour: str = "red", hertz: float = 10.0) -> None:
    """Publishes until stdin ends."""
    node = rclpy.create_node("camera")
    publisher = node.create_publisher(Image, "/image", output_qos())
    pixels, ended = image(colour), threading.Event()

    def publish() -> None:
        while not ended.wait(1 / hertz):
            header = Header(stamp=time_message(time.time_ns()), frame_id="camera_optical")
            publisher.publish(image_message(pixels, header))

    thread = threading.Thread(target=publish)
    thread.start()
    sys.stdin.read()
    ended.set()
    thread.join()


def node() -> None:
    """Serves until stdin ends."""
    # The camera needs none of these, which take seconds.
    from ros_graph import Spinning
    from small_models import pipeline_of

    from perception_contrast.nodes.perception_node import PerceptionNode

    settings = {"short_side": 112, "max_tokens": 1024}
    overrides = [Parameter(name, value=value) for name, value in {"autostart": True, **settings}.items()]
    served = PerceptionNode(
        build=lambda **_: pipeline_of("colours", **settings), parameter_overrides=overrides
    )
    spinning = Spinning(served)
    sys.stdin.read()
    served.close()
    spinning.stop()


if __name__ == "__main__":
    rclpy.init()
    {"camera": camera, "node": node}[sys.argv[1]]()
    rclpy.shutdown()
