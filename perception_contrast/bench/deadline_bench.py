"""Deadline mode on a real node: the share of a camera's frames that is answered while a core is taken."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray

from perception_contrast.bench.camera_messages import photograph
from perception_contrast.bench.node_overhead import NODE, BenchClient, Figures
from perception_contrast.ros.messages.image_messages import image_message, nanoseconds, time_message
from perception_contrast.ros.qos import output_qos

QUERIES = "queries:=['cup', 'spoon', 'plate', 'saucer', 'table', 'bowl', 'bottle', 'book']"
SETTLING = 20  # frames at the beginning of a phase that are not counted
UNDER_WAY = 3  # frames at the end of a phase for whose answers is waited
BUSY = "while True: pass"


def measure_deadline(
    model: str, language_model: str, engine: str, short_side: int, seconds: float, rate: float
) -> dict[str, Figures]:
    """A camera at a rate that is the node's ``target_rate``: alone, with a core taken, and alone again.

    Args:
        model: parameter of the node.
        language_model: parameter of the node.
        engine: parameter of the node.
        short_side: parameter of the node.
        seconds: of each phase, after SETTLING frames.
        rate: frames a second.

    Returns:
        By phase: "answered", the share of the frames whose detections were published, and what was in force
        at its end: short side, milliseconds for crops, drawings, load.
    """
    client = BenchClient()
    sent: list[int] = []
    answered: set[int] = set()
    publisher = client.node.create_publisher(Image, "/image", output_qos())
    topics = f"/{NODE}/detections", f"/{NODE}/overlay"
    client.node.create_subscription(
        Detection2DArray, topics[0], lambda one: answered.add(nanoseconds(one.header.stamp)), output_qos()
    )
    client.node.create_subscription(Image, topics[1], lambda _: None, output_qos())
    message = image_message(photograph((480, 640)), Header(frame_id="camera"))
    done = threading.Event()

    def publish_images() -> None:
        due = time.monotonic()
        while not done.wait(max(due - time.monotonic(), 0.0)):
            stamp = time.time_ns()
            message.header.stamp = time_message(stamp)
            publisher.publish(message)
            sent.append(stamp)
            due += 1.0 / rate

    def phase() -> Figures:
        time.sleep(SETTLING / rate)
        first = len(sent)
        time.sleep(seconds)
        last, values = len(sent), client.status[NODE]
        # The last ones are still under way.
        time.sleep(UNDER_WAY / rate)
        share = sum(stamp in answered for stamp in sent[first:last]) / max(last - first, 1)
        kept = ("short_side", "rescoring_ms", "draw_every", "load")
        found = {name: float(values[f"deadline/{name}"]) for name in kept}
        return {"answered": share} | found

    parameters = (
        f"model:={model}",
        f"language_model:={language_model}",
        f"engine:={engine}",
        f"short_side:={short_side}",
        f"target_rate:={rate}",
        QUERIES,
        "restore_vocabulary:=never",
    )
    camera = threading.Thread(target=publish_images, daemon=True)
    try:
        with client.serving(NODE, *parameters):
            client.wait(publisher.get_subscription_count, "a reader of the camera")
            camera.start()
            client.wait(lambda: "deadline/load" in client.status[NODE], "a first frame")
            client.wait_for_engines(NODE)
            phases = {"alone": phase()}
            with one_core_busy():
                phases["a core busy"] = phase()
            phases["alone again"] = phase()
            return phases
    finally:
        done.set()
        client.close()


@contextmanager
def one_core_busy() -> Iterator[None]:
    """A process that computes without end, until the end of the context."""
    process = subprocess.Popen([sys.executable, "-c", BUSY])
    try:
        yield
    finally:
        process.kill()
        process.wait()
