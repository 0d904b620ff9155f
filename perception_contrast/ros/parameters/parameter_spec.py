"""One parameter: default, description, range, choices, and when it may change."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor

from perception_contrast.core.errors import PerceptionError

Value = bool | int | float | str | Sequence[str]
Values = Mapping[str, Value]


class ParameterError(PerceptionError):
    """A parameter with a value that is refused."""


@dataclass(frozen=True)
class ParameterSpec:
    """One parameter.

    Attributes:
        default: A tuple stands for a list of values, for each of which range and choices hold.
        minimum: Smallest number, None for no limit; ``maximum`` likewise.
        choices: Allowed strings, empty for any.
        change: "any" time, "reload" for one whose change loads other models, or "never" after start.
    """

    name: str
    default: Value
    description: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    change: str = "any"

    def descriptor(self) -> ParameterDescriptor:
        """Description, constraints, range and read-only flag for ``declare_parameter``."""
        message = ParameterDescriptor(description=self.description, read_only=self.change == "never")
        if self.choices:
            message.additional_constraints = "one of " + ", ".join(self.choices)
        if self.change == "reload":
            message.additional_constraints = "; ".join(
                filter(None, [message.additional_constraints, "a change loads other models"])
            )
        # ROS has ranges for single numbers alone; values of lists are checked by ``problem``.
        if self.minimum is not None and self.maximum is not None and not isinstance(self.default, tuple):
            if isinstance(self.default, int):
                bounds = IntegerRange(from_value=int(self.minimum), to_value=int(self.maximum), step=1)
                message.integer_range = [bounds]
            else:
                limits = FloatingPointRange(from_value=float(self.minimum), to_value=float(self.maximum))
                message.floating_point_range = [limits]
        return message

    def problem(self, value: Value) -> str:
        """Why a value is refused; empty if it is not."""
        if isinstance(self.default, tuple):
            return next(filter(None, map(self._problem, value)), "")
        return self._problem(value)

    def _problem(self, value: Value) -> str:
        if isinstance(value, float) and not math.isfinite(value):
            return f"parameter '{self.name}': {value} is not a finite number"
        if self.choices and value not in self.choices:
            return f"parameter '{self.name}': '{value}' is not one of {', '.join(self.choices)}"
        if self.minimum is not None and isinstance(value, int | float) and value < self.minimum:
            return f"parameter '{self.name}': {value} is below {self.minimum:g}"
        if self.maximum is not None and isinstance(value, int | float) and value > self.maximum:
            return f"parameter '{self.name}': {value} is above {self.maximum:g}"
        return ""
