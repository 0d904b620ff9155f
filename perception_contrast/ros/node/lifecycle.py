"""Running a node: signals, an executor that survives callbacks, log forwarding, exit codes."""

from __future__ import annotations

import logging
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from typing import Any, TypeVar

import rclpy
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.executors import MultiThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from perception_contrast.core.allocator import reuse_large_blocks
from perception_contrast.core.errors import PerceptionError

Answer = TypeVar("Answer")
RCLError, InvalidHandle = rclpy_implementation.RCLError, rclpy_implementation.InvalidHandle
THREADS = 12


class Stop:
    """Asks a running node to end, with the reason if that is a failure."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.failure = ""

    def __call__(self, failure: str = "") -> None:
        self.failure = self.failure or failure
        self._event.set()

    def is_set(self) -> bool:
        return self._event.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        return self._event.wait(timeout)


class RosLogHandler(logging.Handler):
    """Forwards the core's standard logging to a node's logger."""

    def __init__(self, node: Node) -> None:
        super().__init__(logging.INFO)
        self._logger = node.get_logger()

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        # rclpy fixes a severity for each calling line, so each needs a line of its own.
        if record.levelno >= logging.ERROR:
            self._logger.error(message)
        elif record.levelno >= logging.WARNING:
            self._logger.warning(message)
        else:
            self._logger.info(message)


class Background:
    """One thread that outlives what it does, since numeric libraries keep memory for each that they met.

    A call is abandoned when the node stops: loading weights can hang in a download.
    """

    def __init__(self, name: str) -> None:
        self._waiting: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = queue.SimpleQueue()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def start(self, work: Callable[[], Answer]) -> Future[Answer]:
        """Runs ``work`` once what was started before has ended."""
        future: Future[Answer] = Future()
        self._waiting.put((work, future))
        return future

    def call(self, work: Callable[[], Answer], stop: Stop) -> Answer | None:
        """Result of ``work``, or None if ``stop`` is set before there is one."""
        future = self.start(work)
        while not stop.is_set():
            done, _ = wait([future], timeout=0.05)
            if done:
                return future.result()
        return None

    def end(self) -> None:
        """Ends the thread after what was started."""
        self._waiting.put(None)

    def _run(self) -> None:
        while (item := self._waiting.get()) is not None:
            work, future = item
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)
            del item, work, future


def answer_every_transition(node: LifecycleNode) -> None:
    """Lets change_state say no to a transition that the state has none of; rclpy would not answer at all.

    It also gets a callback group of its own, so that the state and the parameters can be asked for while
    models load.
    """
    service = node._service_change_state
    change = service.callback

    def answer(request: Any, response: Any) -> Any:
        try:
            return change(request, response)
        except RCLError as error:
            node.get_logger().warning(f"no such transition now: {error}")
            response.success = False
            return response

    service.callback = answer
    service.callback_group = MutuallyExclusiveCallbackGroup()
    service.callback_group.add_entity(service)


def spin(executor: MultiThreadedExecutor, node: Node, stop: Stop) -> None:
    """Runs callbacks until ``stop``; an exception of one of them is logged and ends nothing."""
    while not stop.is_set() and rclpy.ok(context=node.context):
        try:
            executor.spin_once(timeout_sec=0.5)
        except InvalidHandle:
            # A message came for a subscription that has just been closed: nobody misses it.
            continue
        except Exception as error:
            # One callback's failure must not end the others.
            if not stop.is_set():
                node.get_logger().error(f"a callback failed: {error!r}")


def run(make_node: Callable[[Stop], Node], name: str, args: Sequence[str] | None = None) -> int:
    """Runs a node until SIGINT, SIGTERM or a failure; the process's exit code.

    make_node gets the Stop with which the node can end itself; if the node has ``close()`` it is
    called before it is destroyed. A PerceptionError of make_node or a failure is one line on stderr.
    """
    reuse_large_blocks()
    stop = Stop()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop())
    try:
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:
        # rcl's own words for arguments or parameter files that it cannot parse.
        return _failed(name, str(error))
    try:
        node = make_node(stop)
    except PerceptionError as error:
        rclpy.try_shutdown()
        return _failed(name, str(error))
    handler, core_logger = RosLogHandler(node), logging.getLogger("perception_contrast")
    core_logger.setLevel(logging.INFO)
    core_logger.addHandler(handler)
    # A library that sets up logging for itself would print every line a second time.
    core_logger.propagate = False
    executor = MultiThreadedExecutor(num_threads=THREADS)
    executor.add_node(node)
    spinner = threading.Thread(target=spin, args=(executor, node, stop), name="spin", daemon=True)
    spinner.start()
    stop.wait()
    close = getattr(node, "close", None)
    if close is not None:
        close()
    spinner.join(2.0)
    core_logger.removeHandler(handler)
    core_logger.propagate = True
    executor.shutdown(timeout_sec=2.0)
    node.destroy_node()
    rclpy.try_shutdown()
    return _failed(name, stop.failure) if stop.failure else 0


def _failed(name: str, reason: str) -> int:
    print(f"{name}: {' '.join(reason.split())}", file=sys.stderr, flush=True)
    return 1


def leave(code: int) -> None:
    """Ends the process at once after flushing, for a load still under way would hold up a normal exit."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
