"""Times messages sent through DDS to another process of this machine."""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from perception_contrast.bench.result_messages import ResultMessages
from perception_contrast.core.errors import PerceptionError

TOPICS = ("features", "masks", "detections")
READY = "ready"
_DISCOVERY_SECONDS = 20.0
_SEND_TIMEOUT = 2.0


class LoopbackError(PerceptionError):
    """The other process did not come up or was not found."""


class Loopback:
    """Publishes messages; a child process subscribes and prints when all messages of a number arrived.

    Both processes read one steady clock, so the time is that of one direction.

    Attributes:
        lost: Sets of messages that did not arrive whole.
    """

    def __init__(self, child: subprocess.Popen[str], publishers: Mapping[str, Any]) -> None:
        self._child, self._publishers = child, publishers
        self._lines: queue.Queue[str] = queue.Queue()
        self._number = 0
        self.lost = 0
        threading.Thread(target=self._read, name="loopback", daemon=True).start()

    def _read(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            self._lines.put(line.strip())

    def wait(self) -> None:
        """Waits until both processes have discovered each other. Raises LoopbackError."""
        try:
            line = self._lines.get(timeout=_DISCOVERY_SECONDS)
        except queue.Empty:
            line = ""
        if line != READY:
            raise LoopbackError(f"the receiving process did not start: {line or 'no answer'}")
        deadline = time.monotonic() + _DISCOVERY_SECONDS
        while not all(one.get_subscription_count() for one in self._publishers.values()):
            if time.monotonic() > deadline:
                raise LoopbackError("the receiving process was not found over DDS; try --no-dds")
            time.sleep(0.05)

    @property
    def receiver_exit_code(self) -> int | None:
        """Of the child process; None while it runs."""
        return self._child.poll()

    def send(self, built: ResultMessages) -> float | None:
        """Milliseconds from the first publish to the last message's arrival; None if one was lost."""
        self._number += 1
        messages = {name: getattr(built, name) for name in TOPICS}
        for message in messages.values():
            message.header.stamp.sec = self._number
        began = time.monotonic_ns()
        for name, message in messages.items():
            self._publishers[name].publish(message)
        deadline = time.monotonic() + _SEND_TIMEOUT
        while (left := deadline - time.monotonic()) > 0:
            try:
                number, arrived = self._lines.get(timeout=min(left, 0.2)).split()
            except queue.Empty:
                if self._child.poll() is not None:
                    break
                continue
            except ValueError:  # not a line of the receiver's
                continue
            if int(number) == self._number:
                return (int(arrived) - began) / 1e6
        self.lost += 1
        return None


@contextmanager
def loopback(environment: Mapping[str, str]) -> Iterator[Loopback]:
    """environment: of the child, with ROS's domain and range in it, which hold for this process too
    while this lasts. Raises ImportError without ROS, LoopbackError."""
    import rclpy
    from perception_contrast_msgs.msg import FeatureMap
    from sensor_msgs.msg import Image
    from vision_msgs.msg import Detection2DArray

    from perception_contrast.ros.qos import output_qos

    kinds = {"features": FeatureMap, "masks": Image, "detections": Detection2DArray}
    with contextlib.ExitStack() as stack:
        stack.enter_context(_environment(environment))
        context = rclpy.context.Context()
        rclpy.init(context=context, domain_id=int(environment["ROS_DOMAIN_ID"]))
        stack.callback(rclpy.try_shutdown, context=context)
        node = rclpy.create_node("bench_sender", context=context)
        stack.callback(node.destroy_node)
        publishers = {name: node.create_publisher(kinds[name], f"~/{name}", output_qos()) for name in TOPICS}
        child = stack.enter_context(_child(environment, node.get_fully_qualified_name()))
        made = Loopback(child, publishers)
        made.wait()
        yield made


@contextmanager
def _child(environment: Mapping[str, str], sender: str) -> Iterator[subprocess.Popen[str]]:
    """It ends when its standard input does, so also when this process is killed."""
    command = [sys.executable, "-m", "perception_contrast.bench.dds_receiver", sender]
    child = subprocess.Popen(
        command,
        env=dict(environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        yield child
    finally:
        assert child.stdin is not None
        child.stdin.close()
        try:
            child.wait(5.0)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """ROS's variables of ``values`` in this process too, as they were afterwards."""
    names = [name for name in values if name.startswith("ROS_")]
    before = {name: os.environ.get(name) for name in names}
    os.environ.update({name: values[name] for name in names})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
