"""Runs a node and a client of it over real DDS within a test."""

from __future__ import annotations

import faulthandler
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import rclpy
import ros_double
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import ReliabilityPolicy

from perception_contrast.nodes.perception_node import PerceptionNode
from perception_contrast.ros.executors import ConcurrentExecutor
from perception_contrast.ros.node.run_node import EXECUTOR_THREADS, spin_until_shutdown
from perception_contrast.ros.node.shutdown_event import ShutdownEvent

PATIENCE = 60.0
# Seconds: ten times as often as usual, so that a test waits less.
DIAGNOSTICS_PERIOD = 0.1


def wait_for(condition: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    """The first true value of ``condition``."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.01)
    # Printed, so that a report of a build machine shows what each thread was waiting for.
    print(thread_stacks())
    raise AssertionError(f"waited {patience:.0f} s for {what}")


def thread_stacks() -> str:
    """Where every thread of this process is."""
    with tempfile.TemporaryFile("w+") as file:
        faulthandler.dump_traceback(file=file, all_threads=True)
        file.seek(0)
        return file.read()


def own_threads() -> set[threading.Thread]:
    """Without the executors' pools, which grow up to their size as callbacks happen to meet."""
    return {thread for thread in threading.enumerate() if not thread.name.startswith("ThreadPool")}


def reliabilities(node: Node, topic: str) -> set[ReliabilityPolicy]:
    """Reliabilities that the subscribers of a topic request."""
    return {info.qos_profile.reliability for info in node.get_subscriptions_info_by_topic(topic)}


class Spinning:
    """A node and its executor in a thread of their own."""

    def __init__(self, node: Node) -> None:
        self._shutdown = ShutdownEvent()
        self._executor = ConcurrentExecutor(num_threads=EXECUTOR_THREADS, context=node.context)
        self._executor.add_node(node)
        arguments = (self._executor, node, self._shutdown)
        self._thread = threading.Thread(target=spin_until_shutdown, args=arguments, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._shutdown.set()
        self._thread.join()
        self._executor.shutdown(timeout_sec=2.0)


class Serving:
    """A perception_node with a scripted pipeline, spinning as its main() would have it."""

    def __init__(self, namespace: str, cli_args: Sequence[str] = (), **values: Any) -> None:
        self._built: list[ros_double.ScriptedPipeline] = []
        overrides = [Parameter(name, value=value) for name, value in {"model": "scripted", **values}.items()]
        self.node = PerceptionNode(
            build=self._build,
            diagnostics_period=DIAGNOSTICS_PERIOD,
            namespace=namespace,
            parameter_overrides=overrides,
            cli_args=list(cli_args),
        )
        self._spinning = Spinning(self.node)

    def _build(self, **arguments: Any) -> ros_double.ScriptedPipeline:
        self._built.append(ros_double.build(**arguments))
        return self._built[-1]

    def pipeline(self) -> ros_double.ScriptedPipeline:
        return wait_for(lambda: self._built, "the pipeline")[-1]

    def close(self) -> None:
        self.node.close()
        self._spinning.stop()
        self.node.destroy_node()


class Client:
    """Listens, publishes and calls services as any other node would."""

    def __init__(self, name: str = "client") -> None:
        self.node = rclpy.create_node(name)
        self.received: dict[str, list[Any]] = defaultdict(list)
        self._kinds: dict[str, Any] = {}
        self.listen(DiagnosticArray, "/diagnostics", 10)
        self._spinning = Spinning(self.node)

    def close(self) -> None:
        self._spinning.stop()
        self.node.destroy_node()

    def listen(self, kind: type, topic: str, qos: Any = 5) -> Any:
        return self.node.create_subscription(kind, topic, self.received[topic].append, qos)

    def newest(self, topic: str, matches: Callable[[Any], bool] = lambda message: True) -> Any:
        """The newest message of a topic that came after this call and matches."""
        before = len(self.received[topic])

        def found() -> Any:
            return next((one for one in self.received[topic][before:] if matches(one)), None)

        try:
            return wait_for(found, f"a message on {topic}")
        except AssertionError as error:
            publishers = self.node.count_publishers(topic)
            heard = len(self.received[topic]) - before
            states = {
                status.name: {pair.key: pair.value for pair in status.values}
                for array in self.received["/diagnostics"][-20:]
                for status in array.status
            }
            raise AssertionError(
                f"{error}: {publishers} publishers, {heard} others came; diagnostics: {states}"
            ) from None

    def diagnostics(self, node: str) -> dict[str, str]:
        """Keys and values of a node's newest status; "level" and "message" among them."""
        for array in reversed(self.received["/diagnostics"]):
            for status in array.status:
                if status.name == node:
                    values = {pair.key: pair.value for pair in status.values}
                    return values | {"level": str(status.level[0]), "message": status.message}
        return {}

    def wait_report(self, node: str, text: str) -> None:
        """Waits for a diagnostics message of a node that holds ``text``, now or before."""

        def reported() -> bool:
            return any(
                status.name == node and text in status.message
                for array in self.received["/diagnostics"]
                for status in array.status
            )

        wait_for(reported, f"'{text}' of {node}; last {self.diagnostics(node)}")

    def wait_diagnostics(self, node: str, key: str, condition: Callable[[str], bool]) -> dict[str, str]:
        def reached() -> dict[str, str]:
            values = self.diagnostics(node)
            return values if key in values and condition(values[key]) else {}

        return wait_for(reached, f"'{key}' of {node}; last {self.diagnostics(node)}")

    def settled_diagnostics(self, node: str, key: str, seconds: float = 1.0) -> str:
        """The value of a key that stayed the same for so long."""
        seen = [time.monotonic(), self.diagnostics(node).get(key, "")]

        def settled() -> bool:
            value = self.diagnostics(node).get(key, "")
            if value != seen[1] or not value:
                seen[:] = time.monotonic(), value
            return time.monotonic() - seen[0] > seconds

        wait_for(settled, f"'{key}' of {node} to stay; last {self.diagnostics(node)}")
        return str(seen[1])

    def call(self, kind: type, name: str, /, **fields: Any) -> Any:
        if name not in self._kinds:
            self._kinds[name] = self.node.create_client(kind, name)
            assert self._kinds[name].wait_for_service(PATIENCE), name
        future = self._kinds[name].call_async(kind.Request(**fields))
        wait_for(future.done, f"an answer of {name}")
        return future.result()
