"""The map from above: ground, footprints of things, answers, the pose to approach one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from nicegui import ui
from nicegui.element import Element
from numpy.typing import NDArray

from perception_contrast_studio.maps.map_types import ApproachPlace, Ground, Point

_CSS = """
.plan-view { position: relative; width: 100%; height: 100%; overflow: hidden; border-radius: 8px;
  background: #dfe5ea; }
.body--dark .plan-view { background: #161c21; }
.plan-view canvas { width: 100%; height: 100%; display: block; touch-action: none; cursor: crosshair; }
"""


class PlanView(Element, component="plan_view.js"):
    """Draws a plan. What is chosen with a click comes as ``on_pick``.

    Args:
        on_pick: Called with the key of a thing, "" for none, and the point (3,) in metres.
    """

    def __init__(self, on_pick: Callable[[str, Point], Any]) -> None:
        super().__init__()
        ui.add_css(_CSS)
        self._turns = 0
        self._props.update(
            ground=None, things=[], rays=[], approach=None, place=None, focus=None, names=True,
            description="Plan of the map from above. Drag to move it; arrow keys move, plus and minus zoom, "
            "A shows all of it.",
        )  # fmt: skip

        def picked(event: Any) -> None:
            x, y, z = (float(value) for value in event.args["point"])
            on_pick(str(event.args["key"]), (x, y, z))

        self.on("pick", picked)

    def show_ground(self, url: str, ground: Ground) -> None:
        """Draws cells whose int8 values are at the URL."""
        rows, columns = ground.cells.shape
        self._props["ground"] = {
            "url": url,
            "rows": rows,
            "columns": columns,
            "resolution": ground.resolution,
            "origin": list(ground.origin),
        }

    def show_things(self, things: list[dict[str, Any]]) -> None:
        """Draws footprints, as of ``thing_marks``."""
        self._props["things"] = things

    def show_names(self, shown: bool) -> None:
        """Names of all things, or only of those that were found."""
        self._props["names"] = shown

    def show_rays(self, rays: NDArray[np.float64]) -> None:
        """Draws arrows, (n, 6) origins and directions."""
        self._props["rays"] = rays.round(4).tolist()

    def show_approach(self, place: ApproachPlace | None) -> None:
        """Draws where the robot would stand."""
        self._props["approach"] = None if place is None else {"x": place.x, "y": place.y, "yaw": place.yaw}

    def show_place(self, place: Point | None) -> None:
        """Marks the chosen point."""
        self._props["place"] = None if place is None else list(place)

    def look_at(self, center: Point) -> None:
        """Moves a place to the middle."""
        self._turns += 1
        self._props["focus"] = {"center": list(center), "turn": self._turns}

    def view_all(self) -> None:
        """Shows all of it."""
        self.run_method("view")
