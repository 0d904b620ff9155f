"""Parts of nodes that only publish: parameters read once at start, and a loop in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from rclpy.exceptions import ParameterException
from rclpy.node import Node

from perception_contrast.core.errors import PerceptionError
from perception_contrast.ros.node.shutdown_event import ShutdownEvent
from perception_contrast.ros.parameters.parameter_spec import ParameterError, ParameterSpec


def declare_start_parameters(node: Node, specs: Sequence[ParameterSpec]) -> dict[str, Any]:
    """Declares parameters and returns their values. Raises ParameterError for a value that is refused."""
    values = {}
    for spec in specs:
        default = list(spec.default) if isinstance(spec.default, tuple) else spec.default
        try:
            value = node.declare_parameter(spec.name, default, spec.descriptor()).value
        except ParameterException as error:
            raise ParameterError(" ".join(str(error).split())) from error
        if problem := spec.problem(value):
            raise ParameterError(problem)
        values[spec.name] = value
    return values


class SourceThread:
    """Runs the loop of a source. When it returns the node ends; a PerceptionError ends it as a failure.

    The whole loop has one thread, because an OpenGL context belongs to the thread that made it.
    """

    def __init__(self, loop: Callable[[], None], shutdown: ShutdownEvent) -> None:
        self._loop, self._shutdown = loop, shutdown
        self._thread = threading.Thread(target=self._run, name="source", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._loop()
        except PerceptionError as error:
            self._shutdown.set(str(error))
        except Exception as error:
            # After a shutdown the middleware is torn down under the loop: errors are to be expected.
            if not self._shutdown.is_set():
                self._shutdown.set(f"unexpected failure: {error!r}")
        else:
            self._shutdown.set()

    def join(self, timeout: float = 3.0) -> None:
        """Waits for the loop, which must check the node's ShutdownEvent."""
        self._thread.join(timeout)
