"""Parameters of a node as plain values: their descriptions, requests to set them, and their changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from rcl_interfaces.msg import Parameter, ParameterEvent, ParameterType, ParameterValue

from perception_contrast.client.topic_subscription import Source
from perception_contrast.core.errors import PerceptionError

Value: TypeAlias = bool | int | float | str | list[bool] | list[int] | list[float] | list[str] | bytes | None
EVENTS = Source("/parameter_events", ParameterEvent)

# Of each type: its name, and the field of ParameterValue that holds it.
_TYPES = {
    ParameterType.PARAMETER_BOOL: ("bool", "bool_value"),
    ParameterType.PARAMETER_INTEGER: ("int", "integer_value"),
    ParameterType.PARAMETER_DOUBLE: ("float", "double_value"),
    ParameterType.PARAMETER_STRING: ("str", "string_value"),
    ParameterType.PARAMETER_BYTE_ARRAY: ("bytes", "byte_array_value"),
    ParameterType.PARAMETER_BOOL_ARRAY: ("list[bool]", "bool_array_value"),
    ParameterType.PARAMETER_INTEGER_ARRAY: ("list[int]", "integer_array_value"),
    ParameterType.PARAMETER_DOUBLE_ARRAY: ("list[float]", "double_array_value"),
    ParameterType.PARAMETER_STRING_ARRAY: ("list[str]", "string_array_value"),
}
_CHOICES = "one of "


class ParameterValueError(PerceptionError):
    """A value that is not of its parameter's type."""


@dataclass(frozen=True)
class ParameterInfo:
    """One parameter of a node.

    Attributes:
        name: Name of the parameter.
        type: "bool", "int", "float", "str", "list[str]" and so on; "" for one without a value.
        value: Present value.
        description: Meaning in words.
        minimum: Smallest number; None for no limit. Limits of lists are known to the node alone.
        maximum: Largest number; None for no limit.
        choices: Allowed strings, for a list of each of its values; empty for any.
        constraints: Other rules in words, such as "a change loads other models"; "" for none.
        read_only: Whether it can only be set when the node starts.
    """

    name: str
    type: str
    value: Value
    description: str
    minimum: float | None
    maximum: float | None
    choices: tuple[str, ...]
    constraints: str
    read_only: bool


def plain_value(message: Any) -> Value:
    """Of a rcl_interfaces/ParameterValue; None where it is not set."""
    if message.type not in _TYPES:
        return None
    name, field = _TYPES[message.type]
    value = getattr(message, field)
    if name == "bytes":
        return b"".join(value)
    return list(value) if name.startswith("list") else value


def parameter_info(descriptor: Any, value: Any) -> ParameterInfo:
    """Of a rcl_interfaces/ParameterDescriptor and the ParameterValue in force."""
    limits = next(iter([*descriptor.integer_range, *descriptor.floating_point_range]), None)
    rules = [one for one in descriptor.additional_constraints.split("; ") if one]
    choices = [one.removeprefix(_CHOICES) for one in rules if one.startswith(_CHOICES)]
    return ParameterInfo(
        name=descriptor.name,
        type=_TYPES[value.type][0] if value.type in _TYPES else "",
        value=plain_value(value),
        description=descriptor.description,
        minimum=None if limits is None else limits.from_value,
        maximum=None if limits is None else limits.to_value,
        choices=tuple(choices[0].split(", ")) if choices else (),
        constraints="; ".join(one for one in rules if not one.startswith(_CHOICES)),
        read_only=bool(descriptor.read_only),
    )


def parameter_messages(values: Mapping[str, Value], present: Sequence[Any]) -> list[Parameter]:
    """Values as messages of the types that the parameters have.

    Args:
        values: Name to value; a whole number does for a float.
        present: The ParameterValues in force, in the same order.

    Raises:
        ParameterValueError: A value is not of its parameter's type.
    """
    return [
        Parameter(name=name, value=_value_message(name, value, one.type))
        for (name, value), one in zip(values.items(), present, strict=True)
    ]


def changes_of(node: str) -> Callable[[Any], dict[str, Value] | None]:
    """Reads the new values of one node's parameters out of a ParameterEvent; None where it is another's.

    Args:
        node: Full name.
    """

    def read(message: Any) -> dict[str, Value] | None:
        if message.node != node:
            return None
        changed = [*message.new_parameters, *message.changed_parameters]
        return {one.name: plain_value(one.value) for one in changed} or None

    return read


def _value_message(name: str, value: Value, kind: int) -> ParameterValue:
    if kind not in _TYPES:
        raise ParameterValueError(
            f"parameter '{name}' has no value and so no type; set it when the node starts"
        )
    wanted, field = _TYPES[kind]
    try:
        return ParameterValue(type=kind, **{field: _of_type(value, wanted)})
    except (TypeError, ValueError) as error:
        raise ParameterValueError(f"parameter '{name}': {value!r} is no {wanted}") from error


def _of_type(value: Any, wanted: str) -> Any:
    """The value as its field takes it. Raises TypeError."""
    if wanted == "bytes":
        return [bytes([one]) for one in value]
    if wanted.startswith("list"):
        if isinstance(value, str | bytes) or not isinstance(value, Sequence):
            raise TypeError
        return [_of_type(one, wanted[5:-1]) for one in value]
    if wanted == "float" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value).__name__ != wanted or (wanted == "int" and not -(2**63) <= value < 2**63):
        raise TypeError
    return value
