"""The client's own node and the thread that spins it, so that nothing waits for the user's executor."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import rclpy
from rclpy.context import Context
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from perception_contrast.client.client_errors import ClosedError
from perception_contrast.ros.executors import SequentialExecutor

# Seconds between checks of deadlines, while there are some and while there are none.
BUSY_PERIOD, IDLE_PERIOD = 0.05, 1.0


class BackgroundTask(Protocol):
    """Periodic work of the thread."""

    def on_tick(self, now: float) -> bool:
        """Called periodically; True asks to be called again soon. now: monotonic seconds."""

    def on_close(self) -> None:
        """Called once, when the thread ends."""


class BackgroundNode:
    """Runs submitted calls and the callbacks of ``node`` one after another in one thread.

    Args:
        user: A node whose context, namespace and remappings are used; it need not be spun, and its executor
            is left alone. Without one, a context is made from ``args`` and ended by ``close``.
        args: Command line, as of ``rclpy.init``.
    """

    def __init__(self, user: Node | None, args: Sequence[str] | None) -> None:
        self._own_context: Context | None = None
        self.user = user
        if user is None:
            self._own_context = context = Context()
            rclpy.init(
                args=None if args is None else list(args),
                context=context,
                signal_handler_options=SignalHandlerOptions.NO,
            )
            self.node = rclpy.create_node("perception_client", context=context)
        else:
            context = user.context
            # Without global arguments: `-r __node:=x` of the process must not rename this node too.
            self.node = rclpy.create_node(
                f"{user.get_name()}_perception_client",
                namespace=user.get_namespace(),
                context=context,
                use_global_arguments=False,
                start_parameter_services=False,
                enable_rosout=False,
            )
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._tasks: list[BackgroundTask] = []
        # Held while a call is handed over, so that none comes after the last check for some.
        self._lock, self._stopping = threading.Lock(), threading.Event()
        # `Executor.wake` lets spin_once look around, but not return.
        self._wake_condition = self.node.create_guard_condition(self._run_submitted)
        self._executor = SequentialExecutor(context=context)
        self._executor.add_node(self.node)
        self.thread = threading.Thread(target=self._spin, name="perception_client", daemon=True)
        self.thread.start()

    @property
    def closed(self) -> bool:
        """Whether the client was closed."""
        return self._stopping.is_set()

    def full_name(self, name: str) -> str:
        """A node's full name; one without a leading slash lies in the user's namespace."""
        return str((self.user or self.node).resolve_service_name(name))

    def topic_name(self, name: str) -> str:
        """A topic's full name, after the user's remappings."""
        return str((self.user or self.node).resolve_topic_name(name))

    def add_task(self, task: BackgroundTask) -> None:
        """Runs a task in the thread from now on."""
        self._tasks.append(task)

    def submit(self, call: Callable[[], None]) -> None:
        """Runs ``call`` in the thread soon. Raises ClosedError after ``close``."""
        with self._lock:
            if self.closed:
                raise ClosedError("this PerceptionClient is closed; make another one")
            self._calls.put(call)
            self._wake_condition.trigger()

    def close(self) -> None:
        """Ends the thread and destroys the node. What was submitted before is still run."""
        with self._lock:
            if not self.closed:
                self._stopping.set()
                self._wake_condition.trigger()
        if threading.current_thread() is not self.thread:
            self.thread.join(5.0)

    def _spin(self) -> None:
        busy = True
        while not self._stopping.is_set():
            try:
                self._executor.spin_once(timeout_sec=BUSY_PERIOD if busy else IDLE_PERIOD)
                self._run_submitted()
                now = time.monotonic()
                busy = any([task.on_tick(now) for task in self._tasks])
            except Exception as error:
                # A callback of the user that raises must not end the others.
                if self.node.context.ok():
                    self.node.get_logger().error(f"a callback of PerceptionClient failed: {error!r}")
            if not self.node.context.ok():
                with self._lock:
                    self._stopping.set()
        self._run_submitted()
        for task in self._tasks:
            task.on_close()
        self._executor.shutdown(timeout_sec=1.0)
        self.node.destroy_node()
        if self._own_context is not None:
            self._own_context.try_shutdown()

    def _run_submitted(self) -> None:
        while not self._calls.empty():
            self._calls.get_nowait()()
