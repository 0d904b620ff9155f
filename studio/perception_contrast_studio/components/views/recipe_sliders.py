"""Sliders that are bound to the keys of a recipe."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nicegui import ui

KEY_TEXTS: Mapping[str, tuple[str, str]] = {
    "size": ("Side of a view", "In pixels; 0 takes the backbone's own."),
    "local_size": ("Side of a small view", "In pixels; 0 takes three sevenths of a large one."),
    "locals": ("Small views", "How many small crops join the two large ones."),
    "strength": ("Strength of colours", "Scales brightness, contrast, saturation and hue together."),
    "area": ("Area of a crop", "Smallest and largest share of the image that a crop keeps."),
    "local_area": ("Area of a small crop", "The same of small views."),
    "flip": ("Mirror", "Probability. 0 keeps left and right, which captions may name."),
    "hue": ("Hue", "How far colours may turn on the colour circle. 0 keeps the names of colours true."),
    "grey": ("Grey", "Probability that a view loses its colours."),
    "blur": ("Blur", "Probability that a view is softened."),
    "solarise": ("Solarise", "Probability that bright parts turn dark."),
    "masked": ("Masked views", "Probability that patches of a large view are hidden."),
    "ratio": ("Hidden patches", "Share of the patches that the student does not see."),
}
_SEVERAL = ("view 1", "view 2", "small views")


class RecipeSliders:
    """The controls of one recipe.

    Args:
        controls: As of ``tasks.training.view_controls.controls``.
        on_change: Called after each move.
    """

    def __init__(self, controls: Sequence[Mapping[str, Any]], on_change: Callable[[], Any]) -> None:
        self._on_change, self._quiet = on_change, False
        self._of = {str(one["key"]): one for one in controls}
        self._values = {key: list(one["values"]) for key, one in self._of.items()}
        self._show: list[Callable[[], None]] = []
        for one in controls:
            self._add(one)

    @property
    def changes(self) -> dict[str, Any]:
        """Key to value of all that stands elsewhere than in the recipe."""
        found: dict[str, Any] = {}
        for key, values in self._values.items():
            if values != list(self._of[key]["values"]):
                found[key] = values if len(values) > 1 else values[0]
        return found

    def reset(self) -> None:
        """Puts all back to the recipe's values."""
        self._quiet = True
        for key, one in self._of.items():
            self._values[key] = list(one["values"])
        for show in self._show:
            show()
        self._quiet = False
        self._on_change()

    def _add(self, one: Mapping[str, Any]) -> None:
        key = str(one["key"])
        name, text = KEY_TEXTS.get(key.rpartition(".")[2], (key, ""))
        with ui.column().classes("full-width").style("gap: 0; padding-right: 10px"):
            with ui.row().classes("items-baseline full-width no-wrap justify-between"):
                ui.label(name).classes("text-body2 text-weight-medium").tooltip(f"{key}: {text}")
                ui.label(key).classes("text-caption gt-xs").style("opacity: .7; font-family: monospace")
            ui.label(text).classes("text-caption").style("opacity: .8; line-height: 1.2")
            if one["rising"]:
                self._range(one, name)
                return
            count = len(one["values"])
            for place in range(count):
                label = f"{name}, {_SEVERAL[place]}" if count > 1 else name
                self._slider(one, place, label, _SEVERAL[place] if count > 1 else "")

    def _slider(self, one: Mapping[str, Any], place: int, label: str, shown: str) -> None:
        key = str(one["key"])
        with ui.row().classes("items-center no-wrap full-width"):
            if shown:
                ui.label(shown).classes("text-caption").style("width: 5.5em")
            slider = ui.slider(
                min=one["least"], max=one["most"], step=one["step"], value=self._values[key][place]
            ).classes("col")
            slider.props(f'aria-label="{label}"')
            said = ui.label().classes("text-caption").style("width: 3.5em; text-align: right")

        def show() -> None:
            slider.set_value(self._values[key][place])
            said.set_text(_text(self._values[key][place], one["whole"]))

        def moved() -> None:
            value = slider.value or 0
            self._values[key][place] = int(value) if one["whole"] else round(float(value), 4)
            said.set_text(_text(self._values[key][place], one["whole"]))
            self._changed()

        show()
        slider.on_value_change(moved)
        self._show.append(show)

    def _range(self, one: Mapping[str, Any], name: str) -> None:
        key = str(one["key"])
        low, high = self._values[key]
        with ui.row().classes("items-center no-wrap full-width"):
            bar = ui.range(
                min=one["least"], max=one["most"], step=one["step"], value={"min": low, "max": high}
            ).classes("col")
            bar.props(f'aria-label="{name}"')
            said = ui.label().classes("text-caption").style("width: 6.5em; text-align: right")

        def say() -> None:
            said.set_text(" to ".join(_text(value, False) for value in self._values[key]))

        def show() -> None:
            bar.set_value({"min": self._values[key][0], "max": self._values[key][1]})
            say()

        def moved() -> None:
            self._values[key] = [round(float(bar.value["min"]), 4), round(float(bar.value["max"]), 4)]
            say()
            self._changed()

        say()
        bar.on_value_change(moved)
        self._show.append(show)

    def _changed(self) -> None:
        if not self._quiet:
            self._on_change()


def _text(value: float, whole: bool) -> str:
    return f"{value:d}" if whole else f"{value:.3g}"
