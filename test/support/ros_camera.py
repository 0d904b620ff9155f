"""A camera in a process of its own: publishes the image named on stdin at 20 Hz until the next name."""

from __future__ import annotations

import copy
import sys
import threading

import cv2
import numpy as np
import rclpy
from builtin_interfaces.msg import Time
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

HEIGHT, WIDTH = 48, 64
HEADER = Header(stamp=Time(sec=12, nanosec=345_678_901), frame_id="camera_optical")


def image() -> np.ndarray:
    """(48, 64, 3) RGB: red left, blue right, so that swapped channels show."""
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[:, : WIDTH // 2, 0], image[:, WIDTH // 2 :, 2] = 200, 100
    return image


def raw(**changes: object) -> Image:
    message = Image(header=copy.deepcopy(HEADER), height=HEIGHT, width=WIDTH, encoding="rgb8", step=3 * WIDTH)
    message.data.frombytes(image().tobytes())
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def compressed(keep: float = 1.0) -> CompressedImage:
    _, jpeg = cv2.imencode(".jpg", image()[..., ::-1])
    data = jpeg.tobytes()
    message = CompressedImage(header=copy.deepcopy(HEADER), format="rgb8; jpeg compressed bgr8")
    message.data.frombytes(data[: int(len(data) * keep)])
    return message


def images() -> dict[str, Image | CompressedImage]:
    return {
        "good": raw(),
        "wrong_step": raw(step=10),
        "empty": raw(data=b""),
        "zero_size": raw(height=0, width=0, step=0, data=b""),
        "unknown_encoding": raw(encoding="rgb9"),
        "hundred_megapixels": raw(height=10_000, width=10_000, step=30_000, data=bytes(10)),
        "explodes": raw(header=Header(stamp=HEADER.stamp, frame_id="explodes")),
        "good_jpeg": compressed(),
        "truncated_jpeg": compressed(0.5),
    }


def main() -> None:
    rclpy.init()
    node = rclpy.create_node("camera")
    plain = node.create_publisher(Image, "/raw/image", 1)
    jpeg = node.create_publisher(CompressedImage, "/jpeg/image/compressed", 1)
    chosen, known, ended = "", images(), threading.Event()

    def publish() -> None:
        while not ended.wait(0.05):
            if chosen in known:
                message = known[chosen]
                (plain if isinstance(message, Image) else jpeg).publish(message)

    thread = threading.Thread(target=publish)
    thread.start()
    for line in sys.stdin:
        chosen = line.strip()
    ended.set()
    thread.join()
    node.destroy_node()
    rclpy.shutdown()


if __name__ == "__main__":
    main()
