"""The saved maps: what they hold, open, load, save, clear, download."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from nicegui import ui

from perception_contrast.core.plain_names import PLAIN_NAME_RULE, is_plain_name
from perception_contrast_studio.components.shared.confirm_dialog import confirmed
from perception_contrast_studio.maps.map_types import MapEntry
from perception_contrast_studio.maps.spoken_times import local
from perception_contrast_studio.server.studio_page import Visit

_MEGABYTE = 1 << 20


@dataclass(frozen=True)
class ShelfActions:
    """What the buttons do.

    Attributes:
        open: Shows the map of a name, without a robot.
        load: The robot's map becomes that of a name.
        save: The robot's map is written under a name.
        clear: The robot's map is emptied.
        download: A file of the shown map: "ply" or "json".
        refresh: Looks again what is there.
    """

    open: Callable[[str], Awaitable[Any]]
    load: Callable[[str], Awaitable[Any]]
    save: Callable[[str], Awaitable[Any]]
    clear: Callable[[], Awaitable[Any]]
    download: Callable[[str], Awaitable[Any]]
    refresh: Callable[[], Awaitable[Any]]


class MapShelfCard:
    """Lists maps.

    Args:
        visit: Of the page.
        actions: Of the buttons.
        robot: Whether there is a robot whose map can be saved.
    """

    def __init__(self, visit: Visit, actions: ShelfActions, *, robot: bool) -> None:
        self._visit, self._actions, self._robot = visit, actions, robot
        with ui.row().classes("full-width items-center no-wrap"):
            ui.label("Saved maps").classes("text-subtitle1 text-weight-medium col")
            refresh = ui.button(icon="refresh", on_click=actions.refresh).props("flat dense")
            refresh.props["aria-label"] = "Look again which maps are there"
        self._list = ui.column().classes("full-width map-gap-xs")
        if robot:
            self._robot_buttons()
        with ui.row().classes("full-width items-center"):
            ui.label("Download the shown map:").classes("text-caption")
            for kind, text in (("ply", "cloud (PLY)"), ("json", "things (GeoJSON)")):
                ui.button(text, icon="download", on_click=lambda _, one=kind: actions.download(one)).props(
                    "flat dense no-caps size=sm"
                )

    def _robot_buttons(self) -> None:
        with ui.row().classes("full-width items-center no-wrap"):
            self._name = ui.input("Save the robot's map as", placeholder="kitchen").classes("col")
            self._name.props("dense outlined maxlength=64")
            ui.button("Save", icon="save", on_click=self._visit.changes(self._save)).props("no-caps flat")
        clear = ui.button(
            "Clear the robot's map", icon="delete_sweep", on_click=self._visit.changes(self._clear)
        )
        clear.props("flat dense no-caps color=negative")

    def show(self, entries: Sequence[MapEntry], shown: str) -> None:
        """Shows maps; shown: name of the one that is open here, or ""."""
        self._list.clear()
        with self._list:
            if not entries:
                ui.label(
                    "There are no saved maps yet. `perception-contrast map RECORDING --save NAME` makes one, "
                    "and so does Save on this page with a robot."
                ).classes("text-caption studio-wrap")
            for entry in entries:
                self._entry(entry, entry.name == shown)

    def _entry(self, entry: MapEntry, shown: bool) -> None:
        with ui.row().classes("full-width items-center no-wrap"):
            with ui.column().classes("col map-gap-none"):
                marks = [text for text, is_so in (("shown", shown), ("the robot's", entry.current)) if is_so]
                name = f"{entry.name} ({', '.join(marks)})" if marks else entry.name
                ui.label(name).classes("text-body2 text-weight-medium studio-wrap")
                if entry.problem:
                    with ui.row().classes("no-wrap items-start").style("gap:4px"):
                        ui.icon("error_outline", color="negative", size="16px").props("aria-hidden=true")
                        ui.label(entry.problem).classes("text-caption studio-wrap")
                else:
                    ui.label(
                        f"{entry.objects} things, {entry.voxels:,} voxels, "
                        f"{entry.bytes / _MEGABYTE:.1f} MB, {local(entry.updated)}"
                    ).classes("text-caption")
            opened = ui.button("Open", on_click=lambda: self._actions.open(entry.name))
            opened.props("flat dense no-caps").props["aria-label"] = f"Open the map {entry.name}"
            if self._robot:
                load = ui.button("Load", on_click=self._visit.changes(lambda: self._load(entry.name)))
                load.props("flat dense no-caps").props["aria-label"] = f"Load {entry.name} into the robot"
                load.tooltip("The robot goes on with this map")

    async def _save(self) -> None:
        name = str(self._name.value or "").strip()
        if not is_plain_name(name):
            ui.notify(f"Choose a name: {PLAIN_NAME_RULE}.", type="warning")
            return
        await self._actions.save(name)

    async def _load(self, name: str) -> None:
        text = f"Load '{name}' into the robot? Its present map is replaced; what was not saved is lost."
        if await confirmed(text, "Load"):
            await self._actions.load(name)

    async def _clear(self) -> None:
        text = "Clear the robot's map? All its things and what it remembers are forgotten."
        if await confirmed(text, "Clear"):
            await self._actions.clear()
