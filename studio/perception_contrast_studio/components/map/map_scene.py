"""The map in three dimensions: points, boxes of things, rays, a pose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nicegui
import numpy as np
from nicegui import ui
from nicegui.element import Element
from numpy.typing import NDArray

from perception_contrast_studio.maps.map_types import ApproachPlace, Cloud, Point

_THREE = str(Path(nicegui.__file__).parent / "elements/scene/dist")
_LEAST_SPAN = 0.02  # of cosines: less is noise, which must not look like an answer
_POINT_SIZE = 0.03
_CSS = """
.map-scene { position: relative; width: 100%; height: 100%; overflow: hidden; border-radius: 8px;
  background: linear-gradient(#dfe7ee, #f6f8fa); }
.body--dark .map-scene { background: linear-gradient(#1b242c, #0e1317); }
.map-scene canvas { width: 100%; height: 100%; display: block; touch-action: none; }
.map-scene-labels { position: absolute !important; inset: 0; pointer-events: none; }
.map-scene-label { background: rgba(20, 26, 32, .78); color: #fff; font: 12px system-ui, sans-serif;
  padding: 1px 6px; border-radius: 8px; white-space: nowrap; }
.map-scene-selected { background: #b34700; font-weight: 600; }
.map-scene-failure { position: absolute; inset: 0; padding: 16px; }
"""


class MapScene(Element, component="map_scene.js", esm={"nicegui-scene": _THREE}):
    """Draws a map with WebGL. What is chosen with a click comes as ``on_pick``.

    Args:
        on_pick: Called with the key of a thing, "" for none, and the point (3,) in metres.
        on_trouble: Called with what kept a cloud from being drawn.
    """

    def __init__(self, on_pick: Callable[[str, Point], Any], on_trouble: Callable[[str], Any]) -> None:
        super().__init__()
        ui.add_css(_CSS)
        self._turns = 0
        self._props.update(
            cloud=None, colouring="photo", things=[], rays=[], approach=None, place=None, focus=None,
            names=True, description="Map in three dimensions. Drag to turn it; arrow keys turn, plus and "
            "minus zoom, T shows it from the top, F from the front, S from the side, A shows all of it.",
        )  # fmt: skip
        self.on("pick", lambda event: on_pick(str(event.args["key"]), _point(event.args["point"])))
        self.on("trouble", lambda event: on_trouble(str(event.args)))

    def show_cloud(self, url: str, count: int, *, heat: bool) -> None:
        """Draws what ``cloud_bytes`` made."""
        self._props["cloud"] = {"url": url, "count": count, "heat": heat, "size": _POINT_SIZE}

    def colour_by(self, colouring: str) -> None:
        """photo or heat."""
        self._props["colouring"] = colouring

    def show_things(self, things: list[dict[str, Any]]) -> None:
        """Draws boxes, as of ``thing_marks``."""
        self._props["things"] = things

    def show_names(self, shown: bool) -> None:
        """Names of all things, or only of those that were found."""
        self._props["names"] = shown

    def show_rays(self, rays: NDArray[np.float64]) -> None:
        """Draws arrows, (n, 6) origins and directions."""
        self._props["rays"] = rays.round(4).tolist()

    def show_approach(self, place: ApproachPlace | None, floor: float) -> None:
        """Draws where the robot would stand; floor: its height in metres."""
        self._props["approach"] = (
            None if place is None else {"x": place.x, "y": place.y, "z": floor, "yaw": place.yaw}
        )

    def show_place(self, place: Point | None) -> None:
        """Marks the chosen point."""
        self._props["place"] = None if place is None else list(place)

    def look_at(self, center: Point, size: Point) -> None:
        """Moves the camera to a box."""
        self._turns += 1
        self._props["focus"] = {"center": list(center), "size": list(size), "turn": self._turns}

    def view(self, name: str) -> None:
        """Moves the camera: top, front, side or fit."""
        self.run_method("view", name)


def cloud_bytes(cloud: Cloud, heat: NDArray[np.float32] | None) -> tuple[bytes, tuple[float, float]]:
    """A cloud as the component reads it, and the range of the heat's colours.

    (n, 3) float32 metres, (n, 3) uint8 RGB, and (n,) uint8 heat where there is some.
    """
    parts = [np.ascontiguousarray(cloud.points, "<f4").tobytes(), np.ascontiguousarray(cloud.rgb).tobytes()]
    if heat is None or len(heat) != len(cloud.points):
        return b"".join(parts), (0.0, 0.0)
    low, high = heat_range(heat)
    parts.append(np.asarray(np.clip((heat - low) / (high - low), 0, 1) * 255, np.uint8).tobytes())
    return b"".join(parts), (low, high)


def heat_range(heat: NDArray[np.float32]) -> tuple[float, float]:
    """Cosines of the darkest and the brightest colour, of the points that have one."""
    known = heat[heat != 0]
    if not len(known):
        return 0.0, 1.0
    low, high = (float(value) for value in np.percentile(known, (5.0, 99.8)))
    return low, max(high, low + _LEAST_SPAN)


def _point(values: Sequence[float]) -> Point:
    x, y, z = (float(value) for value in values)
    return x, y, z
