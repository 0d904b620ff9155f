"""A map in three dimensions and from above, with the same things, answers and marks in both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from nicegui import ui
from numpy.typing import NDArray

from perception_contrast_studio.components.map.answer_cards import thing_name
from perception_contrast_studio.components.map.map_scene import MapScene, cloud_bytes
from perception_contrast_studio.components.map.plan_view import PlanView
from perception_contrast_studio.maps.map_types import (
    ApproachPlace,
    Cloud,
    Ground,
    MapAnswer,
    MapLayers,
    MapThing,
    Point,
)
from perception_contrast_studio.server.studio_page import Visit

_VIRIDIS = "linear-gradient(90deg, #440154, #3b528b, #21918c, #5cc863, #fde725)"
_PRESETS = (
    ("fit", "All", "zoom_out_map"),
    ("top", "Top", "vertical_align_bottom"),
    ("front", "Front", "crop_square"),
)
_HEIGHT = "padding: 0; height: min(62vh, 640px); min-height: 320px"


class MapViews:
    """Draws one map at a time.

    Args:
        visit: Of the page.
        on_thing: Called with the thing that was clicked.
        on_place: Called with the point that was clicked, in metres.
        on_tab: Called when another view is shown.
    """

    def __init__(
        self,
        visit: Visit,
        on_thing: Callable[[MapThing], Any],
        on_place: Callable[[Point], Any],
        on_tab: Callable[[], Any],
    ) -> None:
        self._visit, self._on_thing, self._on_place = visit, on_thing, on_place
        self._layers, self._answer = MapLayers(), MapAnswer("found", "")
        self._heat: NDArray[np.float32] | None = None
        self._drawn: dict[str, Any] = {"cloud": None, "heat": None, "ground": None}
        self._urls: dict[str, str] = {}
        self._things: dict[str, MapThing] = {}
        self.selected = ""
        with ui.row().classes("full-width items-center map-gap-xs"):
            with ui.tabs(on_change=on_tab).props("dense no-caps inline-label") as self._tabs:
                ui.tab("3d", "In 3D", icon="view_in_ar")
                ui.tab("plan", "From above", icon="map")
            ui.space()
            self._toolbar()
        with ui.tab_panels(self._tabs, value="3d", animated=False).props("keep-alive").classes("full-width"):
            with ui.tab_panel("3d").style(_HEIGHT):
                self.scene = MapScene(self._picked, lambda text: ui.notify(text, type="warning"))
            with ui.tab_panel("plan").style(_HEIGHT):
                self.plan = PlanView(self._picked)
        self._build_legend()

    def _toolbar(self) -> None:
        for name, text, icon in _PRESETS:
            button = ui.button(icon=icon, on_click=lambda _, one=name: self._view(one)).props("flat dense")
            button.props["aria-label"] = f"View: {text}"
            button.tooltip(text)
        self._names = ui.switch("Names", value=True, on_change=self._on_names).props("dense")
        self._colours = ui.toggle(
            {"photo": "Photo", "heat": "Heat"}, value="photo", on_change=lambda: self._paint()
        ).props('dense no-caps unelevated aria-label="Colours of the cloud"')
        self._colours.set_enabled(False)

    def _build_legend(self) -> None:
        with ui.row().classes("items-center studio-gap text-caption") as self._legend:
            self._low = ui.label()
            ui.element("div").style(f"width:140px; height:10px; border-radius:5px; background:{_VIRIDIS}")
            self._high = ui.label()
            self._words = ui.label().classes("studio-wrap")
        self._legend.set_visibility(False)
        with ui.row().classes("items-center text-caption").style("gap: 4px 12px"):
            for colour, text in (
                ("#56b4e9", "there"),
                ("#e69f00", "perhaps"),
                ("#999999", "gone"),
                ("#cc79a7", "answer"),
                ("#d55e00", "chosen"),
                ("#009e73", "where to stand"),
            ):
                with ui.row().classes("items-center no-wrap").style("gap:4px"):
                    ui.element("span").style(
                        f"width:12px; height:12px; border-radius:3px; background:{colour}"
                    )
                    ui.label(text)
            self._count = ui.label()

    @property
    def shows_cloud(self) -> bool:
        """Whether the view in three dimensions is open."""
        return str(self._tabs.value) != "plan"

    def thing(self, key: str) -> MapThing | None:
        """The thing that is drawn under a key."""
        return self._things.get(key)

    def update(self, layers: MapLayers) -> None:
        """Draws what changed. To be called again and again."""
        things_changed = layers.things is not self._layers.things
        self._layers = layers
        if layers.ground is not self._drawn["ground"]:
            self._draw_ground(layers.ground)
        if self.shows_cloud and layers.cloud is not self._drawn["cloud"]:
            self._draw_cloud()
        if things_changed:
            self._draw_things()

    def show_answer(self, answer: MapAnswer | None) -> None:
        """Marks what was found; None for nothing."""
        self._answer = answer or MapAnswer("found", "")
        self._draw_things()
        self.scene.show_rays(self._answer.rays)
        self.plan.show_rays(self._answer.rays)

    def show_heat(self, heat: NDArray[np.float32] | None, words: str) -> None:
        """Colours the cloud by how near its points are to words; without an array, by its own heat."""
        self._heat = heat
        self._words.set_text(f"nearness to '{words}'" if words else "")
        self._draw_cloud()
        if self._colours.enabled:
            self._colours.value = "heat"
        self._paint()

    def select(self, thing: MapThing | None, *, look: bool = False) -> None:
        """Marks a thing; look: also moves the views to it."""
        self.selected = "" if thing is None else self._key_of(thing)
        self._draw_things()
        if thing is not None and look:
            self.look_at(thing.center, thing.size)

    def look_at(self, center: Point, size: Point = (0.3, 0.3, 0.3)) -> None:
        """Moves the views to a place."""
        self.scene.look_at(center, size)
        self.plan.look_at(center)

    def show_approach(self, place: ApproachPlace | None) -> None:
        """Marks where to stand."""
        lows = [one.center[2] - one.size[2] / 2 for one in self._layers.things]
        cloud = self._layers.cloud
        floor = (
            float(np.percentile(cloud.points[:, 2], 1)) if cloud is not None and len(cloud.points) else 0.0
        )
        self.scene.show_approach(place, min([floor, *lows]) if lows else floor)
        self.plan.show_approach(place)

    def show_place(self, place: Point | None) -> None:
        """Marks the chosen point."""
        self.scene.show_place(place)
        self.plan.show_place(place)

    def reset(self) -> None:
        """For another map."""
        self._heat, self.selected = None, ""
        self._words.set_text("")
        self.show_answer(None)
        self.show_approach(None)
        self.show_place(None)
        self.update(MapLayers(cloud=_NO_CLOUD))

    def _view(self, name: str) -> None:
        if self.shows_cloud:
            self.scene.view(name)
        else:
            self.plan.view_all()

    def _on_names(self) -> None:
        self.scene.show_names(bool(self._names.value))
        self.plan.show_names(bool(self._names.value))

    def _picked(self, key: str, point: Point) -> None:
        thing = self._things.get(key)
        self._on_place(point)
        if thing is not None:
            self._on_thing(thing)

    def _draw_things(self) -> None:
        answered = {self._key_of(one): one for one in self._answer.things}
        shown = {self._key_of(one): one for one in self._layers.things if one.status != "gone"}
        # Boxes that move come from the map, not from an older answer.
        self._things = {**answered, **shown}
        marks = thing_marks(self._things, set(answered), self.selected)
        self.scene.show_things(marks)
        self.plan.show_things(marks)
        points = 0 if self._layers.cloud is None else len(self._layers.cloud.points)
        self._count.set_text(f"{len(shown)} things, {points:,} points")

    def _draw_cloud(self) -> None:
        cloud = self._layers.cloud
        if cloud is None:
            return
        heat = cloud.heat if self._heat is None or len(self._heat) != len(cloud.points) else self._heat
        data, (low, high) = cloud_bytes(cloud, heat)
        self._publish("cloud", data)
        self._drawn["cloud"] = cloud
        self.scene.show_cloud(self._urls["cloud"], len(cloud.points), heat=heat is not None)
        self._colours.set_enabled(heat is not None)
        self._low.set_text(f"{low:.2f}")
        self._high.set_text(f"{high:.2f}")
        if heat is None:
            self._colours.value = "photo"
        self._paint()

    def _paint(self) -> None:
        self.scene.colour_by(str(self._colours.value))
        self._legend.set_visibility(self._colours.value == "heat")

    def _draw_ground(self, ground: Ground | None) -> None:
        self._drawn["ground"] = ground
        if ground is None:
            return
        self._publish("ground", np.ascontiguousarray(ground.cells, np.int8).tobytes())
        self.plan.show_ground(self._urls["ground"], ground)

    def _publish(self, name: str, data: bytes) -> None:
        """Under a new address; what was there before goes."""
        if old := self._urls.get(name):
            self._visit.studio.blobs.remove(old)
        self._urls[name] = self._visit.publish(data)

    def _key_of(self, thing: MapThing) -> str:
        return thing.id or "place " + ",".join(f"{value:.2f}" for value in thing.center)


_NO_CLOUD = Cloud(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.uint8))


def thing_marks(things: dict[str, MapThing], found: set[str], selected: str) -> list[dict[str, Any]]:
    """Things as the components draw them.

    Args:
        things: By key.
        found: Keys of those that answer the question.
        selected: Key of the chosen one, or "".
    """
    return [
        {
            "key": key,
            "id": one.id,
            "name": thing_name(one),
            "status": one.status,
            "center": [round(value, 4) for value in one.center],
            "size": [round(value, 4) for value in one.size],
            "yaw": round(one.yaw, 4),
            "found": key in found,
            "selected": key == selected,
        }
        for key, one in things.items()
    ]
