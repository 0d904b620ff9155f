"""Measures what a perception_node takes of its machine: memory while it serves, processor time while idle."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from perception_contrast_msgs.msg import FeatureMap
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray

from perception_contrast.bench.camera_messages import photograph
from perception_contrast.bench.node_overhead import NODE, BenchClient, Figures
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.process.processor_time import processor_seconds
from perception_contrast.ros.messages.image_messages import image_message, time_message
from perception_contrast.ros.node.lifecycle_bond import CONNECT_TIMEOUT
from perception_contrast.ros.qos import output_qos

FRAMES = 100  # served before the last reading
CAMERA_HZ = 30.0
# Seconds before a reading of an idle node: within them it gives up the bond with a manager that is not there.
SETTLE = CONNECT_TIMEOUT + 2.0
OUTPUTS = {"features": FeatureMap, "masks": Image, "detections": Detection2DArray}
# Of /proc/PID/smaps_rollup: what is reported, and its name in the figures.
_READ = {"Rss": "resident_mb", "Pss": "proportional_mb", "Anonymous": "anonymous_mb"}
_IMPORTS = "import perception_contrast.nodes.perception_node, perception_contrast.pipeline.build"


def measure_memory(parameters: Sequence[str], frames: int = FRAMES) -> dict[str, Figures]:
    """Memory of a node in MB: its imports alone, its models loaded, its engines chosen, frames served.

    Args:
        parameters: of the node, "name:=value" each.
        frames: images of 640x480 that are answered with features, masks and detections before the last
            reading.

    Returns:
        Step to resident, proportional and anonymous memory; pages of files that were only read are resident,
        and not anonymous.

    Raises:
        PerceptionError: the node does not serve, or this system has no ``smaps_rollup``.
    """
    readings = {"imports": _memory_of_imports()}
    client, answered = BenchClient(), Counter[str]()
    for topic, kind in OUTPUTS.items():
        client.node.create_subscription(
            kind, f"/{NODE}/{topic}", lambda _, name=topic: answered.update([name]), output_qos()
        )
    try:
        with client.serving(NODE, *parameters) as process, _camera(client):
            readings["models loaded"] = memory_of(process.pid)
            client.wait_for_engines(NODE)
            readings["engines chosen"] = memory_of(process.pid)
            answered.clear()
            for count in range(1, frames + 1):
                client.wait(partial(_all_answered, answered, count), f"answer {count} of {frames}")
            readings[f"{frames} frames"] = memory_of(process.pid)
    finally:
        client.close()
    return readings


def _all_answered(answered: Counter[str], count: int) -> bool:
    return all(answered[name] >= count for name in OUTPUTS)


def measure_idle(parameters: Sequence[str], seconds: float) -> dict[str, Figures]:
    """Processor time of a node that nobody listens to, in per cent of one core.

    Args:
        parameters: of the node, "name:=value" each.
        seconds: of each reading.

    Returns:
        Figures without a camera, and with one at CAMERA_HZ.
    """
    client = BenchClient()
    try:
        with client.serving(NODE, *parameters) as process:
            client.wait_for_engines(NODE)
            found = {"no camera": {"core_percent": _share(process.pid, seconds)}}
            with _camera(client):
                found[f"camera at {CAMERA_HZ:.0f} Hz"] = {"core_percent": _share(process.pid, seconds)}
    finally:
        client.close()
    return found


def memory_of(process: int) -> Figures:
    """Resident, proportional and anonymous memory of a process in MB. Raises PerceptionError."""
    path = Path(f"/proc/{process}/smaps_rollup")
    try:
        lines = [line.split() for line in path.read_text().splitlines()]
    except OSError as error:
        raise PerceptionError(
            f"{path} cannot be read ({error}); memory is measured on Linux alone"
        ) from error
    return {_READ[line[0][:-1]]: int(line[1]) / 1024 for line in lines if line[0][:-1] in _READ}


def _share(process: int, seconds: float) -> float:
    """Per cent of one core that a process takes over some seconds, after those in which it settles."""
    time.sleep(SETTLE)
    before, began = _processor_seconds(process), time.monotonic()
    time.sleep(seconds)
    return 100.0 * (_processor_seconds(process) - before) / (time.monotonic() - began)


def _processor_seconds(process: int) -> float:
    took = processor_seconds(process)
    if took is None:
        raise PerceptionError(f"process {process} has ended, or this is not Linux; its time cannot be read")
    return took


def _memory_of_imports() -> Figures:
    """Memory of a process that has imported what a node imports, and loaded nothing."""
    words = [sys.executable, "-c", f"{_IMPORTS}; print(flush=True); input()"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        if not process.stdout.readline():
            raise PerceptionError("what a node imports cannot be imported; run `perception-contrast doctor`")
        found = memory_of(process.pid)
        process.kill()
    return found


@contextmanager
def _camera(client: BenchClient) -> Iterator[None]:
    """Publishes a photograph at CAMERA_HZ until the end of the context."""
    publisher = client.node.create_publisher(Image, "/image", output_qos())
    message, ended = image_message(photograph((480, 640)), Header()), threading.Event()

    def publish() -> None:
        while not ended.wait(1.0 / CAMERA_HZ):
            message.header.stamp = time_message(time.time_ns())
            publisher.publish(message)

    thread = threading.Thread(target=publish, name="camera")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        client.node.destroy_publisher(publisher)
