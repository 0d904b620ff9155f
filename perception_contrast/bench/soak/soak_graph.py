"""The processes of the soak test: two nodes, their cameras, and a client that subscribes and calls."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import product
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from vision_msgs.msg import Detection2DArray

from perception_contrast.bench.soak.soak_camera import CAMERAS
from perception_contrast.core.errors import PerceptionError
from perception_contrast.ros.messages.image_messages import nanoseconds

NODES = {"raw": "/soak/perception_node", "jpeg": "/soak_jpeg/perception_node"}
RESULTS = {
    "front": f"{NODES['raw']}/front/detections",
    "rear": f"{NODES['raw']}/rear/detections",
    "jpeg": f"{NODES['jpeg']}/detections",
}
PATIENCE = 30.0
RESEND = 3.0  # seconds


class SoakError(PerceptionError):
    """A fault was not reported, or a node did not recover from it."""


class SoakGraph:
    """The processes and their client.

    Args:
        node: command that starts a node, to which ROS arguments are added.
        arguments: of each node.
        environment: of the children.
        nodes: which of NODES to start.
        outputs: names of topics beside each camera's detections that are listened to, and their types.
    """

    def __init__(
        self,
        node: Sequence[str],
        arguments: Sequence[str],
        environment: Mapping[str, str],
        nodes: Sequence[str] = tuple(NODES),
        outputs: Mapping[str, Any] | None = None,
    ) -> None:
        self._environment, self._nodes = dict(environment), tuple(nodes)
        self._log = open(os.devnull, "w")  # noqa: PTH123, SIM115
        common = ["-p", "queries:=['cup']", "-p", "restore_vocabulary:=never", *arguments]
        of_each = {
            "raw": ["-r", "__ns:=/soak", "-p", "cameras:=[front, rear]"],
            "jpeg": ["-r", "__ns:=/soak_jpeg", "-p", "image_transport:=compressed"],
        }
        self.processes = {
            name: self._start(*node, "--ros-args", *of_each[name], *common, stdin=subprocess.PIPE)
            for name in self._nodes
        }
        self.context = rclpy.context.Context()
        rclpy.init(context=self.context, domain_id=int(environment["ROS_DOMAIN_ID"]))
        self.node = rclpy.create_node("soak", context=self.context)
        self._lock = threading.Lock()
        self._status: dict[str, dict[str, str]] = {}
        self._stamps: dict[str, int] = {}
        self._counts: dict[str, int] = defaultdict(int)
        self._clients: dict[str, Any] = {}
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        self._listeners = {name: self._listen(name) for name in self.cameras}
        for camera, (output, kind) in product(self.cameras, (outputs or {}).items()):
            topic = f"{RESULTS[camera].rpartition('/')[0]}/{output}"
            self.node.create_subscription(kind, topic, lambda message: None, 5)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        threading.Thread(target=self._spin, name="soak", daemon=True).start()
        self.start_camera()

    @property
    def cameras(self) -> tuple[str, ...]:
        """Those that a node of this graph reads."""
        return tuple(name for name in CAMERAS if ("jpeg" if name == "jpeg" else "raw") in self._nodes)

    def _spin(self) -> None:
        while self.context.ok():
            try:
                self._executor.spin_once(timeout_sec=0.2)
            except Exception:
                # A subscription that the churn has just destroyed; the next round is a new one.
                continue

    def _start(self, *command: str, **options: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command, env=self._environment, stdout=self._log, stderr=self._log, text=True, **options
        )

    def _listen(self, camera: str) -> Any:
        def on(message: Detection2DArray) -> None:
            with self._lock:
                self._stamps[camera] = nanoseconds(message.header.stamp)
                self._counts[camera] += 1

        return self.node.create_subscription(Detection2DArray, RESULTS[camera], on, 5)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            values = {pair.key: pair.value for pair in status.values}
            values["message"] = f"{status.message}; {values.get('also', '')}"
            with self._lock:
                self._status[f"/{status.name}"] = values

    # The cameras.

    def start_camera(self) -> None:
        command = [sys.executable, "-m", "perception_contrast.bench.soak.soak_camera"]
        self.camera = self._start(*command, stdin=subprocess.PIPE)

    def stop_camera(self) -> None:
        """Kills the camera, as if its cable were pulled."""
        self.camera.kill()
        self.camera.wait()

    def signal_camera(self, number: signal.Signals) -> None:
        self.camera.send_signal(number)

    def command_camera(self, line: str) -> None:
        assert self.camera.stdin is not None
        self.camera.stdin.write(line + "\n")
        self.camera.stdin.flush()

    def command_node(self, name: str, line: str) -> None:
        """Writes a line to a node's standard input."""
        stream = self.processes[name].stdin
        assert stream is not None
        stream.write(line + "\n")
        stream.flush()

    def send(self, camera: str, kind: str, stamp: int | None = None) -> int:
        """One frame; its stamp in nanoseconds, by which its result is known."""
        stamp = time.time_ns() if stamp is None else stamp
        self.command_camera(f"one {camera} {kind} {stamp}")
        return stamp

    # What the nodes publish.

    def status(self, camera: str = "", node: str = "raw") -> dict[str, str]:
        """Values of the newest diagnostics of a node, or of one of its cameras; "message" among them."""
        name = NODES[node] + (f": {camera}" if camera and node == "raw" else "")
        with self._lock:
            return self._status.get(name, {})

    def camera_status(self, camera: str) -> dict[str, str]:
        return self.status(camera, "jpeg" if camera == "jpeg" else "raw")

    def frames(self) -> int:
        """Number of results so far."""
        return sum(self._counts.values())

    def wait(self, condition: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
        """The first true value. Raises SoakError with what was waited for, or for a node that has ended."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            if value := condition():
                return value
            for name, process in self.processes.items():
                if process.poll() is not None:
                    raise SoakError(f"node '{name}' ended with exit code {process.returncode}; after {what}")
            time.sleep(0.01)
        raise SoakError(f"{what}: not within {patience:.0f} s")

    def seconds_to_result(self, camera: str) -> float:
        """Sends a good frame and waits for its result: seconds. Raises SoakError if none comes.

        A frame whose result stays away is followed by another: images and results are sent with best effort,
        which may lose one on a busy machine.
        """
        began = time.monotonic()
        kind = "good_jpeg" if camera == "jpeg" else "good"
        sent: set[int | None] = set()

        def answered() -> bool:
            if time.monotonic() - began >= RESEND * len(sent):
                sent.add(self.send(camera, kind))
            return self._stamps.get(camera) in sent

        self.wait(answered, f"the result of a good frame of {camera}")
        return time.monotonic() - began

    def call(self, kind: Any, name: str, *, patience: float = PATIENCE, **fields: Any) -> Any:
        """The response of a service. Raises SoakError if none comes."""
        if name not in self._clients:
            self._clients[name] = self.node.create_client(kind, name)
            self.wait(self._clients[name].service_is_ready, f"service {name}")
        future = self._clients[name].call_async(kind.Request(**fields))
        self.wait(future.done, f"an answer of {name}", patience)
        return future.result()

    def wait_until_ready(self, patience: float) -> None:
        """Waits until the nodes serve and every camera has a subscriber."""
        for node in self._nodes:
            self.wait(partial(self._has_value, NODES[node], "state", "active"), f"node '{node}'", patience)
        for camera in self.cameras:
            self.wait(partial(self.node.count_subscribers, CAMERAS[camera]), f"a subscriber of {camera}")
            name = NODES["jpeg"] if camera == "jpeg" else f"{NODES['raw']}: {camera}"
            self.wait(partial(self._has_value, name, "input/publishers", "1"), f"camera {camera}")

    def _has_value(self, name: str, key: str, value: str) -> bool:
        with self._lock:
            return self._status.get(name, {}).get(key) == value

    def resubscribe(self, times: int) -> None:
        """Replaces all subscriptions several times in quick succession."""
        for _ in range(times):
            for camera in self.cameras:
                self.node.destroy_subscription(self._listeners[camera])
                self._listeners[camera] = self._listen(camera)

    def close(self) -> None:
        for process in (self.camera, *self.processes.values()):
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in (self.camera, *self.processes.values()):
            try:
                process.wait(10.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.context.try_shutdown()
        self._log.close()


def default_node() -> list[str]:
    """The command of a node with real models."""
    return [sys.executable, "-m", "perception_contrast.bench.soak.soak_node"]
