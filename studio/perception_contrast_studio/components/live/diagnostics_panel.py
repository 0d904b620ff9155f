"""What the node says of itself: level, message, remedy and values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nicegui import ui

from perception_contrast_studio.components.live.diagnostic_cures import cure
from perception_contrast_studio.robot.frame_hub import FrameHub
from perception_contrast_studio.server.studio_page import Visit

if TYPE_CHECKING:
    from perception_contrast.client.node_diagnostics import Diagnostics

_ICONS = {
    "ok": ("check_circle", "positive"),
    "warn": ("warning", "warning"),
    "error": ("error", "negative"),
    "stale": ("hourglass_empty", "warning"),
}
_COLUMNS = [
    {"name": "key", "label": "Value", "field": "key", "align": "left"},
    {"name": "value", "label": "", "field": "value", "align": "left"},
]


class DiagnosticsPanel:
    """Follows the node's diagnostics; only what changed is sent to the browser.

    Args:
        visit: The visitor's view.
        hub: What visitors share.
    """

    def __init__(self, visit: Visit, hub: FrameHub) -> None:
        self._hub = hub
        with ui.row().classes("items-center full-width no-wrap"):
            self._icon = ui.icon("hourglass_empty", size="sm").props("aria-hidden=true")
            self._level = ui.label().classes("text-subtitle1 text-weight-medium")
            ui.space()
        self._message = ui.label().classes("studio-wrap").props("role=status data-testid=diagnosis")
        self._cure = ui.label().classes("text-caption studio-wrap")
        self._also = ui.label().classes("text-caption studio-wrap")
        with ui.expansion("All values", icon="list").classes("full-width").props("dense") as self._values:
            ui.label("docs/diagnostics.md explains each of them.").classes("text-caption")
            self._table = ui.table(columns=_COLUMNS, rows=[], row_key="key").classes("full-width")
            self._table.props("dense flat virtual-scroll hide-bottom wrap-cells :rows-per-page-options=[0]")
            self._table.style("max-height: 320px")
        timer = ui.timer(1.0, self.draw)
        visit.on_leave(timer.deactivate)
        self.draw()

    def draw(self) -> None:
        """Shows the newest diagnostics."""
        statuses = self._hub.diagnostics if self._hub.present else ()
        if not statuses:
            self._show("stale", "no node", f"No node '{self._hub.target}' answers.", "", "")
            self._cure.text = (
                "Start it: ros2 launch perception_contrast perception.launch.py "
                "image:=/camera/image_raw. Without a robot: perception-contrast demo"
            )
            self._cure.visible = True
            return
        worst = max(statuses, key=lambda one: list(_ICONS).index(one.level) if one.level in _ICONS else 0)
        self._show(worst.level, statuses[0].name, worst.message, cure(worst.message), worst.also)
        if self._values.value:
            self._table.rows = _rows(statuses)

    def _show(self, level: str, name: str, message: str, remedy: str, also: str) -> None:
        icon, colour = _ICONS.get(level, _ICONS["stale"])
        if self._icon.name != icon:
            self._icon.name = icon
            self._icon.props(f"color={colour}")
        self._level.text = f"{level.upper()}: {name}"
        self._message.text = message
        self._cure.text, self._cure.visible = f"What to do: {remedy}", bool(remedy)
        self._also.text, self._also.visible = f"Also: {also}", bool(also)


def _rows(statuses: tuple[Diagnostics, ...]) -> list[dict[str, str]]:
    several = len(statuses) > 1
    return [
        {"key": f"{one.camera}: {key}" if several and one.camera else key, "value": value}
        for one in statuses
        for key, value in sorted(one.values.items())
    ]
