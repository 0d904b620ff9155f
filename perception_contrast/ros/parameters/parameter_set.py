"""Parameters of a node: validation, and one callback that sets all of a request or nothing."""

from __future__ import annotations

import array
import threading
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from rcl_interfaces.msg import SetParametersResult
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.parameter import Parameter

from perception_contrast.core.errors import PerceptionError
from perception_contrast.ros.parameters.parameter_spec import ParameterError, ParameterSpec, Value, Values


class ParameterHandler(Protocol):
    """Puts changed parameters in force."""

    def apply(self, new: Values, old: Values) -> None:
        """Puts new values in force. Raises PerceptionError to refuse them all."""

    def applied(self, new: Values) -> None:
        """Called once the new values are those of ``ParameterSet.values``."""

    def refused(self, reason: str) -> None:
        """Called with the reason why a request was refused."""


class ParameterSet:
    """Declares parameters on a node and keeps ``values`` in step with those in force.

    Args:
        specs: Of the parameters.
        check: Validates all values, given the names of those that may differ from what was validated before;
            it raises PerceptionError. Each value by itself fits its specification by then.

    Attributes:
        values: Name to value, in force.
        lock: Held while a request is applied.

    Raises:
        ParameterError: A value given at start is refused.
    """

    def __init__(
        self,
        node: Node,
        specs: Sequence[ParameterSpec],
        check: Callable[[Values, Collection[str]], None] = lambda values, changed: None,
    ) -> None:
        self._node, self._check = node, check
        self._specs = {spec.name: spec for spec in specs}
        self.lock = threading.RLock()
        try:
            for spec in specs:
                default = list(spec.default) if isinstance(spec.default, tuple) else spec.default
                node.declare_parameter(spec.name, default, spec.descriptor())
        except ParameterException as error:
            raise ParameterError(" ".join(str(error).split())) from error
        self.values: Values = {spec.name: _plain(node.get_parameter(spec.name).value) for spec in specs}
        self._validate(self.values, self.values)

    def handle_changes(self, handler: ParameterHandler) -> None:
        """Validates requests from now on and gives them to ``handler``; until then, any is accepted."""

        def on_set(parameters: list[Parameter]) -> SetParametersResult:
            return self._set(parameters, handler)

        self._node.add_on_set_parameters_callback(on_set)

    def restore(self, values: Values) -> None:
        """Sets parameters back to these values, where they differ, through the node's parameters."""
        differing = [Parameter(name, value=one) for name, one in values.items() if one != self.values[name]]
        self._node.set_parameters_atomically(differing)

    def _set(self, parameters: list[Parameter], handler: ParameterHandler) -> SetParametersResult:
        changed = {one.name: _plain(one.value) for one in parameters if one.name in self._specs}
        if not changed:
            return SetParametersResult(successful=True)
        with self.lock:
            new = {**self.values, **changed}
            try:
                self._validate(new, changed)
                handler.apply(new, self.values)
            except PerceptionError as error:
                handler.refused(str(error))
                return SetParametersResult(successful=False, reason=str(error))
            self.values = new
        handler.applied(new)
        return SetParametersResult(successful=True)

    def _validate(self, values: Values, changed: Collection[str]) -> None:
        for name, value in values.items():
            problem = self._specs[name].problem(value)
            if problem:
                raise ParameterError(problem)
        self._check(values, changed)


def _plain(value: Value) -> Value:
    return list(value) if isinstance(value, array.array) else value
