"""All parameters of the node with their ranges; a change is applied at once."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from nicegui import ui
from nicegui.elements.mixins.disableable_element import DisableableElement
from nicegui.elements.mixins.value_element import ValueElement

from perception_contrast.core.errors import PerceptionError
from perception_contrast_studio.components.live.parameter_fields import parameter_field, value_of
from perception_contrast_studio.robot.frame_hub import FrameHub
from perception_contrast_studio.server.studio_page import Visit

if TYPE_CHECKING:
    from perception_contrast.client.parameter_values import ParameterInfo

# What people change most stands first.
_FIRST = (
    "model",
    "language_model",
    "dense",
    "engine",
    "precision",
    "short_side",
    "detection_threshold",
    "mask_threshold",
    "zoom",
    "tracking",
    "split",
    "target_rate",
)


class ParameterDialog:
    """Shows the node's parameters, also as others change them.

    Args:
        visit: The visitor's view.
        hub: What visitors share.
    """

    def __init__(self, visit: Visit, hub: FrameHub) -> None:
        self._visit, self._hub = visit, hub
        self._fields: dict[str, ValueElement[Any]] = {}
        self._infos: dict[str, ParameterInfo] = {}
        self._taking = False
        with ui.dialog() as self._dialog, ui.card().classes("live-dialog live-parameters"):
            with ui.row().classes("items-center full-width no-wrap"):
                ui.label("Model and parameters").classes("text-h6")
                ui.space()
                ui.button(icon="close", on_click=self._dialog.close).props('flat round aria-label="Close"')
            self._search = ui.input("Search", on_change=self._filter).classes("full-width")
            self._search.props("dense outlined clearable")
            self._rows = ui.column().classes("full-width live-parameter-rows no-wrap")
        hub.listeners.append(self._follow)
        visit.on_leave(self._forget)

    async def open(self) -> None:
        """Asks the node and opens."""
        client = await self._hub.client()
        try:
            described = await client.start.parameters.describe()
        except PerceptionError as error:
            ui.notify(str(error), type="warning", multi_line=True)
            return
        order = {name: place for place, name in enumerate(_FIRST)}
        ordered = sorted(described, key=lambda one: (order.get(one.name, len(order)), one.name))
        self._infos = {one.name: one for one in ordered}
        # Changes that came while the node was away were not told.
        self._hub.parameters.update({one.name: one.value for one in ordered})
        self._rows.clear()
        self._fields = {}
        with self._rows:
            for one in ordered:
                self._row(one)
        self._filter()
        self._dialog.open()

    def _row(self, info: ParameterInfo) -> None:
        with ui.column().classes("full-width live-parameter") as row:
            row.props(f"data-name={info.name}")
            field = parameter_field(info)
            if info.read_only and isinstance(field, DisableableElement):
                field.disable()
            hints = [info.constraints, "given at start only" if info.read_only else ""]
            more = "; ".join(one for one in hints if one)
            ui.label(info.description + (f" ({more})" if more else "")).classes("text-caption studio-wrap")
        self._fields[info.name] = field
        row.bind_visibility_from(field, "visible")

        async def changed() -> None:
            await self._set(info.name)

        # A slider tells each step while it moves; "change" comes when it is let go.
        event = "change" if isinstance(field, ui.slider) else "update:model-value"
        guarded = self._visit.changes(changed, instead=lambda: self._restore(info.name))
        if isinstance(field, ui.input | ui.number):
            field.on("blur", guarded)
            field.on("keydown.enter", guarded)
        else:
            field.on(event, guarded)

    async def _set(self, name: str) -> None:
        info, field = self._infos[name], self._fields[name]
        client = await self._hub.client()
        try:
            value = value_of(info, field.value)
            known = self._hub.parameters.get(name, info.value)
            if self._taking or value == known:
                return
            await client.start.parameters.set({name: value})
            self._hub.parameters[name] = value
        except (PerceptionError, asyncio.TimeoutError) as error:
            ui.notify(f"{name}: {error}", type="warning", multi_line=True)
            self._restore(name)
            return
        ui.notify(f"{name} is {value}", type="positive")

    def _follow(self) -> None:
        """Shows what somebody changed."""
        for name in self._fields.keys() & self._hub.parameters.keys():
            self._take(name, self._hub.parameters[name])

    def _restore(self, name: str) -> None:
        """Shows the value in force."""
        self._take(name, self._hub.parameters.get(name, self._infos[name].value))

    def _take(self, name: str, value: Any) -> None:
        shown = ", ".join(map(str, value)) if isinstance(value, list) else value
        field = self._fields[name]
        if isinstance(field, ui.select) and isinstance(value, list):
            shown = value
        if field.value != shown:
            self._taking = True
            field.value = shown
            self._taking = False

    def _filter(self) -> None:
        wanted = str(self._search.value or "").strip().lower()
        for name, field in self._fields.items():
            field.set_visibility(wanted in f"{name} {self._infos[name].description}".lower())

    def _forget(self) -> None:
        with suppress(ValueError):
            self._hub.listeners.remove(self._follow)
