"""The cameras of the soak test, a process of their own: good frames continuously, bad ones on request.

Standard input: ``stream``, ``pause``, or ``one CAMERA KIND STAMP`` with the stamp in nanoseconds. It ends
with its standard input.
"""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import rclpy
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from perception_contrast.bench.camera_messages import camera_message, photograph
from perception_contrast.bench.soak.soak_node import FAILING_FRAME_ID
from perception_contrast.ros.messages.image_messages import byte_array, time_message
from perception_contrast.ros.qos import output_qos

CAMERAS = {"front": "/soak/front/image", "rear": "/soak/rear/image", "jpeg": "/soak_jpeg/image/compressed"}
SIZE = (96, 128)
PAUSE = 0.002  # between two rounds of the cameras, so that the system's buffers are not all there is


@dataclass(frozen=True)
class Malformation:
    """changes: fields of a good message that it replaces. reason: under which diagnostics count it."""

    changes: dict[str, Any]
    reason: str


MALFORMED = {
    "wrong_step": Malformation({"step": 10}, "step_too_small"),
    "empty": Malformation({"data": b""}, "empty_data"),
    "short": Malformation({"data": bytes(100)}, "data_too_short"),
    "zero_size": Malformation({"height": 0, "width": 0, "step": 0}, "zero_size"),
    "unknown_encoding": Malformation({"encoding": "rgb9"}, "unknown_encoding"),
    "depth_as_image": Malformation({"encoding": "32FC1", "step": 4 * SIZE[1]}, "not_color"),
    "hundred_megapixels": Malformation({"height": 10_000, "width": 10_000, "step": 30_000}, "data_too_short"),
}
ENCODINGS = ("bgr8", "rgba8", "mono8", "bayer_rggb8", "yuv422_yuy2")
SIZES = {"small": (48, 64), "tall": (160, 120), "large": (480, 640)}


def kinds() -> dict[str, Image | CompressedImage]:
    """Name to message; headers are filled in when it is sent."""
    image = photograph(SIZE)
    made: dict[str, Image | CompressedImage] = {name: _raw(image, name) for name in ENCODINGS}
    made |= {name: _raw(photograph(size), "rgb8") for name, size in SIZES.items()}
    made["good"], made["explodes"] = _raw(image, "rgb8"), _raw(image, "rgb8")
    for name, malformation in MALFORMED.items():
        made[name] = _raw(image, "rgb8")
        for field, value in malformation.changes.items():
            setattr(
                made[name], field, byte_array(np.frombuffer(value, np.uint8)) if field == "data" else value
            )
    _, packed = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    made["good_jpeg"] = CompressedImage(format="jpeg", data=byte_array(packed))
    made["truncated_jpeg"] = CompressedImage(format="jpeg", data=byte_array(packed[: packed.size // 2]))
    made["no_jpeg"] = CompressedImage(format="jpeg", data=byte_array(np.arange(200, dtype=np.uint8)))
    return made


def _raw(image: Any, encoding: str) -> Image:
    fields: Any = camera_message(image, encoding)
    return Image(
        height=fields.height,
        width=fields.width,
        encoding=fields.encoding,
        step=fields.step,
        data=byte_array(np.frombuffer(fields.data, np.uint8)),
    )


def main() -> int:
    rclpy.init()
    node = rclpy.create_node("soak_camera")
    known, streaming, ended = kinds(), threading.Event(), threading.Event()
    publishers = {
        name: node.create_publisher(CompressedImage if name == "jpeg" else Image, topic, output_qos())
        for name, topic in CAMERAS.items()
    }
    lock = threading.RLock()

    def send(camera: str, kind: str, stamp: int) -> None:
        with lock:
            frame_id = FAILING_FRAME_ID if kind == "explodes" else camera
            known[kind].header = Header(stamp=time_message(stamp), frame_id=frame_id)
            publishers[camera].publish(known[kind])

    def stream() -> None:
        while not ended.wait(PAUSE):
            if not streaming.wait(0.1):
                continue
            # No round begins after "pause": its frames would take the place of those that are asked for.
            with lock:
                for camera in CAMERAS if streaming.is_set() else ():
                    send(camera, "good_jpeg" if camera == "jpeg" else "good", time.time_ns())

    thread = threading.Thread(target=stream)
    thread.start()
    for line in sys.stdin:
        words = line.split()
        if words == ["stream"]:
            streaming.set()
        elif words == ["pause"]:
            with lock:
                streaming.clear()
        elif len(words) == 4 and words[0] == "one":
            send(words[1], words[2], int(words[3]))
    ended.set()
    thread.join()
    node.destroy_node()
    rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
