"""What the robot sees now, and what it is asked to look for."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from fastapi import APIRouter
from nicegui import app, background_tasks, ui
from starlette.websockets import WebSocket

from perception_contrast_studio.components.live.capture_panel import CapturePanel
from perception_contrast_studio.components.live.diagnostics_panel import DiagnosticsPanel
from perception_contrast_studio.components.live.exemplar_dialog import ExemplarDialog
from perception_contrast_studio.components.live.layer_panel import LayerPanel
from perception_contrast_studio.components.live.live_stream import LiveStream
from perception_contrast_studio.components.live.live_style import LIVE_CSS
from perception_contrast_studio.components.live.live_view import LiveView
from perception_contrast_studio.components.live.parameter_dialog import ParameterDialog
from perception_contrast_studio.components.live.query_panel import QueryPanel
from perception_contrast_studio.components.live.threshold_panel import ThresholdPanel
from perception_contrast_studio.robot.frame_hub import FrameHub
from perception_contrast_studio.robot.live_camera import LiveCamera
from perception_contrast_studio.server.studio_page import Studio, StudioPage, Visit

_HUB = "live hub"
_WHAT = """
You see the robot's camera, and what its **perception node** finds there.

- **Look for**: type the name of a thing and press Enter. `seat: a sofa; a chair; !stool` looks for sofas and
  chairs under the name *seat*, and not for stools.
- **Show an example**: where words fail, click on the thing or drag a box around it.
- **Similarity**: move over the image. Bright cells are those that the image encoder takes for alike; that is
  what an example is compared by.
- **Threshold**: too much is found? Raise it. Too little? Lower it; the histogram shows what it cuts off.
- A score is a probability from 0 to 1. An id stays with a thing while the robot sees it.
"""


def hub_of(studio: Studio) -> FrameHub | None:
    """What all visitors of the page share; None in a studio without a robot."""
    if studio.robot is None:
        return None
    if _HUB not in studio.notes:
        studio.notes[_HUB] = FrameHub(studio.robot)
    found: FrameHub = studio.notes[_HUB]
    return found


class LivePage:
    """The page of one visitor.

    Args:
        visit: The visitor's view.
        hub: What visitors share; entered already.
        camera: The one that is shown first.
    """

    def __init__(self, visit: Visit, hub: FrameHub, camera: LiveCamera) -> None:
        self._visit, self._hub, self._camera = visit, hub, camera
        ui.add_css(LIVE_CSS)
        with ui.element("div").classes("live-page"):
            with ui.column().classes("live-main no-wrap"):
                with ui.column().classes("full-width live-first"):
                    self._tabs = ui.row().classes("full-width")
                    self._view = LiveView(camera.name, visit.changes(self._example))
                with ui.card().props("flat bordered").classes("full-width"):
                    LayerPanel(self._view)
                with ui.expansion("What is this?", icon="help_outline").classes("full-width live-last"):
                    ui.markdown(_WHAT)
            with ui.column().classes("live-side no-wrap"):
                self._side()
        self._dialog = ExemplarDialog(hub, self._view)
        self._names: tuple[str, ...] = ()
        hub.listeners.append(self._draw_cameras)
        self._draw_cameras()

    def _side(self) -> None:
        parameters = ParameterDialog(self._visit, self._hub)
        # On a phone what is asked for stands right below the image.
        with self._card().classes("live-first"):
            QueryPanel(self._visit, self._hub)
        with self._card():
            ThresholdPanel(self._visit, self._hub, lambda: self._camera)
        with self._card():
            DiagnosticsPanel(self._visit, self._hub)
            button = ui.button("Model and parameters", icon="tune", on_click=parameters.open)
            button.props("outline no-caps")
        with self._card():
            CapturePanel(self._visit, self._hub, self._view, lambda: self._camera)

    def _card(self) -> ui.card:
        return ui.card().props("flat bordered").classes("full-width")

    def _draw_cameras(self) -> None:
        if self._hub.names == self._names:
            return
        self._names = self._hub.names
        # Before the node tells its cameras, and when others come, the page shows one that is not there.
        absent = self._camera.name not in self._names
        shown = self._names[0] if absent else self._camera.name
        if absent:
            background_tasks.create(self._show(shown), name="show a camera")
        self._tabs.clear()
        if len(self._names) < 2:
            return
        with self._tabs:
            # A map and not names: the labels of tabs are upper case else.
            toggle = ui.toggle(
                list(self._names), value=shown, on_change=lambda event: self._show(event.value)
            )
            toggle.props('no-caps aria-label="Camera"')

    async def _show(self, name: str) -> None:
        self._camera = await self._hub.camera(name)
        self._view.show(name)

    async def _example(self, chosen: dict[str, Any]) -> None:
        await self._dialog.ask(chosen, self._camera)

    def leave(self) -> None:
        """Ends what the page used."""
        with suppress(ValueError):
            self._hub.listeners.remove(self._draw_cameras)


async def build(visit: Visit) -> None:
    """Builds the page for one visitor."""
    hub = hub_of(visit.studio)
    if hub is None:
        _without_robot()
        return
    await hub.enter(visit.client_id)
    visit.on_leave(lambda: hub.leave(visit.client_id))
    page = LivePage(visit, hub, await hub.camera(hub.names[0]))
    visit.on_leave(page.leave)


def _without_robot() -> None:
    with ui.card().classes("q-ma-md"):
        ui.label("This studio was started for files alone.").classes("text-h6")
        ui.markdown(
            "Start it with `perception-contrast studio --robot` to see a robot's camera beside them. "
            "Without a robot, `perception-contrast demo` runs a simulated one."
        )


def routes(router: APIRouter, studio: Studio) -> None:
    """Adds the stream of frames."""

    async def stream(socket: WebSocket, camera: str) -> None:
        hub = hub_of(studio)
        if hub is None:
            await socket.close()
            return
        await LiveStream(socket, hub).serve(camera)

    def close() -> None:
        if studio.robot is not None and _HUB in studio.notes:
            studio.notes[_HUB].close()

    router.add_api_websocket_route("/live/stream/{camera}", stream)
    app.on_shutdown(close)


PAGE = StudioPage(
    path="/live",
    title="Live",
    icon="videocam",
    summary="What the robot sees now, and what it is asked to look for.",
    build=build,
    routes=routes,
)
