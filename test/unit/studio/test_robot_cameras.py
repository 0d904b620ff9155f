"""Pages with several cameras of one node, and controls of the node's parameters."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

pytest.importorskip("nicegui")
from nicegui import Client, ui
from nicegui.page import page

from perception_contrast.client.parameter_values import ParameterInfo
from perception_contrast.core.errors import PerceptionError
from perception_contrast_studio.components.live.capture_panel import CapturePanel
from perception_contrast_studio.components.live.parameter_fields import parameter_field
from perception_contrast_studio.pages.live_page import LivePage
from perception_contrast_studio.robot.robot_link import RobotLink, RobotOptions, camera_names


class Node:
    """A client whose node has some cameras."""

    def __init__(self, *cameras: str, camera: str = "") -> None:
        self.cameras, self.camera = cameras, camera
        self.start = SimpleNamespace(parameters=self)

    async def get(self, names: list[str]) -> dict[str, Any]:
        return {"cameras": list(self.cameras)}

    def for_camera(self, name: str) -> Node:
        return Node(*self.cameras, camera=name)


def link(node: Node) -> RobotLink:
    found = RobotLink(RobotOptions())
    found._client = cast(Any, node)
    return found


def test_pages_that_ask_for_no_camera_get_the_first_that_there_is() -> None:
    async def run() -> None:
        robot = link(Node("front", "rear"))
        assert await robot.cameras() == ("front", "rear")
        assert cast(Any, await robot.camera()).camera == "front"
        assert cast(Any, await robot.camera("rear")).camera == "rear"
        with pytest.raises(PerceptionError, match="no camera 'top', but front, rear"):
            await robot.camera("top")
        only = link(Node(""))
        assert await only.cameras() == ("",) and cast(Any, await only.camera()).camera == ""

    asyncio.run(run())


def test_cameras_that_are_not_told_are_one_without_a_name() -> None:
    assert camera_names({"cameras": []}) == camera_names({}) == camera_names({"cameras": None}) == ("",)


@dataclass
class View:
    shown: list[str] = field(default_factory=list)

    def show(self, name: str) -> None:
        self.shown.append(name)


def test_a_page_opened_before_the_node_tells_its_cameras_shows_the_first_one_then() -> None:
    async def run() -> None:
        hub = SimpleNamespace(names=("",))

        async def camera(name: str) -> Any:
            return SimpleNamespace(name=name)

        hub.camera = camera
        live, view = LivePage.__new__(LivePage), View()
        live._hub, live._view, live._names = cast(Any, hub), cast(Any, view), ()
        live._camera = await camera("")
        with Client(page("/"), request=None):
            live._tabs = ui.row()
            live._draw_cameras()
            assert view.shown == []
            hub.names = ("front", "rear")
            live._draw_cameras()
            await asyncio.sleep(0)
            assert view.shown == ["front"] and live._camera.name == "front"
            (toggle,) = live._tabs.default_slot.children
            assert cast(Any, toggle).value == "front"
            # The node came back with others.
            hub.names = ("top", "rear")
            live._draw_cameras()
            await asyncio.sleep(0)
            assert view.shown == ["front", "top"]

    from nicegui import core

    async def with_loop() -> None:
        core.loop = asyncio.get_running_loop()
        try:
            await run()
        finally:
            core.loop = None

    asyncio.run(with_loop())


def info(kind: str, low: float, high: float) -> ParameterInfo:
    return ParameterInfo("rate", kind, low, "", low, high, (), "", read_only=False)


def test_a_value_between_a_sliders_steps_is_typed_as_a_number() -> None:
    with Client(page("/"), request=None):
        assert isinstance(parameter_field(info("float", 0.0, 1.0)), ui.slider)
        assert isinstance(parameter_field(info("int", 1, 64)), ui.slider)
        # 3 frames a second of at most 1000 are no step of a slider that fits a page.
        assert isinstance(parameter_field(info("float", 0.0, 1000.0)), ui.number)
        assert isinstance(parameter_field(info("int", 1, 1000)), ui.number)


class Recorder:
    def __init__(self) -> None:
        self.state = SimpleNamespace(ended=False, problem="", path="bag")

    def stop(self) -> Any:
        self.state.ended = True
        return self.state


def test_of_two_visitors_who_record_at_once_one_records_and_both_stop_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[Recorder] = []

    def start() -> Recorder:
        started.append(Recorder())
        return started[-1]

    async def run() -> None:
        from perception_contrast_studio.robot.frame_hub import FrameHub

        hub = FrameHub(link(Node("")))
        panels = []
        for _ in range(2):
            panel = CapturePanel.__new__(CapturePanel)
            panel._hub, panel._button = hub, cast(Any, SimpleNamespace(disable=bool, enable=bool))
            for name, does in (("_start", start), ("_draw", lambda: None)):
                monkeypatch.setattr(panel, name, does)
            panels.append(panel)
        monkeypatch.setattr(ui, "notify", lambda *words, **options: None)
        await asyncio.gather(*(panel._toggle() for panel in panels))
        assert len(started) == 1 and hub.records
        await asyncio.gather(*(panel._toggle() for panel in panels))
        assert len(started) == 1 and not hub.records

    asyncio.run(run())
