"""Runs a node as a process: signals, an executor that survives callbacks, log forwarding, exit codes."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import rclpy
from rclpy.executors import Executor
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.process.allocator import reuse_large_blocks
from perception_contrast.ros.executors import ConcurrentExecutor
from perception_contrast.ros.node.shutdown_event import ShutdownEvent

EXECUTOR_THREADS = 12


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


@contextmanager
def _forwarded_logging(node: Node) -> Iterator[None]:
    handler, core_logger = RosLogHandler(node), logging.getLogger("perception_contrast")
    core_logger.setLevel(logging.INFO)
    core_logger.addHandler(handler)
    # A library that sets up logging for itself would print every line a second time.
    core_logger.propagate = False
    try:
        yield
    finally:
        core_logger.removeHandler(handler)
        core_logger.propagate = True


def spin_until_shutdown(executor: Executor, node: Node, shutdown: ShutdownEvent) -> None:
    """Runs callbacks until ``shutdown``. An exception of a callback is logged and ends nothing."""
    while not shutdown.is_set() and rclpy.ok(context=node.context):
        try:
            executor.spin_once(timeout_sec=0.5)
        except rclpy_implementation.InvalidHandle:
            # A message came for a subscription that has just been closed: it can be dropped.
            continue
        except Exception as error:
            # One callback's failure must not end the others.
            if not shutdown.is_set():
                node.get_logger().error(f"a callback failed: {error!r}")


def run_node(make_node: Callable[[ShutdownEvent], Node], name: str, args: Sequence[str] | None = None) -> int:
    """Runs a node until SIGINT, SIGTERM or a failure.

    A PerceptionError of ``make_node`` and a failure of the node are printed as one line on stderr.

    Args:
        make_node: Gets the event with which the node can end itself. If the node has a method ``close``, it
            is called before the node is destroyed.
        name: Program name for messages on stderr.
        args: Command line, as of ``rclpy.init``.

    Returns:
        The exit code of the process.
    """
    reuse_large_blocks()
    shutdown = ShutdownEvent()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: shutdown.set())
    try:
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:
        # rcl's own words for arguments or parameter files that it cannot parse.
        return _print_failure(name, str(error))
    try:
        node = make_node(shutdown)
    except PerceptionError as error:
        rclpy.try_shutdown()
        return _print_failure(name, str(error))
    executor = ConcurrentExecutor(num_threads=EXECUTOR_THREADS)
    executor.add_node(node)
    with _forwarded_logging(node):
        arguments = (executor, node, shutdown)
        spinner = threading.Thread(target=spin_until_shutdown, args=arguments, name="spin", daemon=True)
        spinner.start()
        shutdown.wait()
        close = getattr(node, "close", None)
        if close is not None:
            close()
        spinner.join(2.0)
    executor.shutdown(timeout_sec=2.0)
    node.destroy_node()
    rclpy.try_shutdown()
    return _print_failure(name, shutdown.failure) if shutdown.failure else 0


def _print_failure(name: str, reason: str) -> int:
    print(f"{name}: {' '.join(reason.split())}", file=sys.stderr, flush=True)
    return 1


def exit_process(code: int) -> None:
    """Ends the process at once after flushing: a load that still runs would hold up a normal exit."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
