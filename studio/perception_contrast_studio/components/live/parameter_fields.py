"""The control that fits a parameter, and the parameter's value of what stands in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nicegui import ui
from nicegui.elements.mixins.value_element import ValueElement

from perception_contrast.core.errors import PerceptionError

if TYPE_CHECKING:
    from perception_contrast.client.parameter_values import ParameterInfo

# A slider is some 200 pixels wide: a longer range is a number, else values between its steps cannot be had.
MOST_WHOLE, MOST_REAL = 200, 10


def parameter_field(info: ParameterInfo) -> ValueElement[Any]:
    """A switch, a slider, a number, a choice or a text, with the parameter's value."""
    if info.type == "bool":
        return ui.switch(info.name, value=bool(info.value))
    if info.choices and info.type == "str":
        return (
            ui.select(_options(info), value=info.value, label=info.name).classes("full-width").props("dense")
        )
    if info.choices:
        given = info.value if isinstance(info.value, list) else []
        field = ui.select(_options(info), value=given, label=info.name, multiple=True)
        return field.classes("full-width").props("dense use-chips")
    if info.type in ("int", "float"):
        return _number(info)
    shown = ", ".join(map(str, info.value)) if isinstance(info.value, list) else str(info.value or "")
    return ui.input(info.name, value=shown).classes("full-width").props("dense")


def value_of(info: ParameterInfo, shown: Any) -> Any:
    """The parameter's value of a control's.

    Raises:
        PerceptionError: It is no value of that type.
    """
    kinds = {"int": int, "float": float, "bool": bool, "str": str}
    try:
        if info.type.startswith("list["):
            kind = kinds[info.type[5:-1]]
            parts = shown if isinstance(shown, list) else str(shown or "").split(",")
            values = [kind(one.strip() if isinstance(one, str) else one) for one in parts]
            # An empty list has no type in ROS; one empty text means none.
            return values or [""]
        return kinds[info.type](shown if shown is not None else "")
    except (KeyError, ValueError, TypeError) as error:
        raise PerceptionError(
            f"{shown!r} is no {info.type}; write numbers with commas between them"
        ) from error


def _number(info: ParameterInfo) -> ValueElement[Any]:
    low, high, whole = info.minimum, info.maximum, info.type == "int"
    if low is None or high is None or high - low > (MOST_WHOLE if whole else MOST_REAL) or info.read_only:
        limits = "" if low is None or high is None else f" ({low:g} to {high:g})"
        field = ui.number(
            info.name + limits, value=_float(info.value), min=low, max=high, step=1 if whole else 0.01
        )
        return field.classes("full-width").props("dense")
    with ui.row().classes("full-width items-center no-wrap"):
        ui.label(f"{info.name} ({low:g} to {high:g})").classes("col-5")
        slider = ui.slider(
            min=low, max=high, step=1 if whole else (high - low) / 200, value=_float(info.value)
        )
        slider.classes("col").props(f'label aria-label="{info.name}"')
        shown = ui.label().classes("col-2 text-right")
        shown.bind_text_from(slider, "value", lambda value: f"{value:g}")
    return slider


def _float(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _options(info: ParameterInfo) -> list[str]:
    value = info.value if isinstance(info.value, list) else [info.value]
    return list(dict.fromkeys([*info.choices, *(str(one) for one in value)]))
