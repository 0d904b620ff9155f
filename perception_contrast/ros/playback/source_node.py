"""What nodes that only publish share: parameters read once at start, and a loop in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from rclpy.exceptions import ParameterException
from rclpy.node import Node

from perception_contrast.core.errors import PerceptionError
from perception_contrast.ros.node.lifecycle import Stop
from perception_contrast.ros.parameters.parameter_spec import ParameterError, Spec


def start_values(node: Node, specs: Sequence[Spec]) -> dict[str, Any]:
    """Declares parameters and reads them. Raises ParameterError for a value that is refused."""
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
    """Runs a source's loop. When it returns the node ends; a PerceptionError ends it as a failure.

    The loop has one thread from first to last because an OpenGL context belongs to the thread that made it.
    """

    def __init__(self, loop: Callable[[], None], stop: Stop) -> None:
        self._loop, self._stop = loop, stop
        self._thread = threading.Thread(target=self._run, name="source", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._loop()
        except PerceptionError as error:
            self._stop(str(error))
        except Exception as error:
            # After a stop the middleware is being torn down under the loop: what fails then is no failure.
            if not self._stop.is_set():
                self._stop(f"unexpected failure: {error!r}")
        else:
            self._stop()

    def join(self, timeout: float = 3.0) -> None:
        """Waits for the loop, which must look at the node's Stop."""
        self._thread.join(timeout)
