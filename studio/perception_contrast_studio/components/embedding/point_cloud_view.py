"""A cloud of points that is moved, zoomed, turned and lassoed in the browser."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from nicegui import events, ui
from nicegui.element import Element
from numpy.typing import NDArray

STYLES = Path(__file__).with_name("point_cloud_view.css")


@dataclass(frozen=True)
class CloudPicture:
    """What is drawn.

    Attributes:
        positions: URL of (n, 3) float32, within -1 to 1.
        colours: URL of (n, 4) uint8: RGB and the shape, 0 for hidden points.
        dimensions: 2 or 3.
        source: Path under which ``/picture/INDEX`` and ``/about/INDEX`` tell of a point.
        pictures: Whether there are pictures.
        animate: Whether the points move from where they are.
        keep: Whether the view stays where it is.
    """

    positions: str
    colours: str
    dimensions: int
    source: str
    pictures: bool
    animate: bool = False
    keep: bool = False


class PointCloudView(Element, component="point_cloud_view.js", esm={"studio-point-cloud": "point_cloud"}):
    """Draws up to some 100,000 points with WebGL.

    Args:
        label: For people who do not see it.
        on_ready: Called when the browser can draw; also after it came back.
        on_pick: Called with a point's index, and whether it is the second of a pair.
        on_lasso: Called with the indices (m,) int64 of the points in a lasso.
        on_clear: Called when everything chosen is dropped.
    """

    def __init__(
        self,
        label: str,
        *,
        on_ready: Callable[[], Any],
        on_pick: Callable[[int, bool], Awaitable[None]],
        on_lasso: Callable[[NDArray[np.int64]], Any],
        on_clear: Callable[[], Any],
    ) -> None:
        super().__init__()
        ui.add_css(STYLES)
        self._props["label"] = label
        self._count = 0

        async def picked(event: events.GenericEventArguments) -> None:
            index = int(event.args["index"])
            if 0 <= index < self._count:
                await on_pick(index, bool(event.args["second"]))

        def lassoed(event: events.GenericEventArguments) -> None:
            on_lasso(indices_of_bits(str(event.args["bits"]), self._count))

        self.on("ready", lambda: on_ready())
        self.on("pick", picked)
        self.on("lasso", lassoed)
        self.on("clear", lambda: on_clear())

    def show(self, picture: CloudPicture, count: int) -> None:
        """Draws other points. count: of them."""
        self._count = count
        self.run_method("show", vars(picture))

    def recolour(self, colours: str) -> None:
        """Draws the same points in other colours. colours: as of ``CloudPicture``."""
        self.run_method("recolour", colours)

    def show_marks(
        self,
        picked: int = -1,
        near: Sequence[int] = (),
        pair: tuple[int, int] | None = None,
        text: str = "",
    ) -> None:
        """Rings around a point and others, or a line between two with a text."""
        self.run_method("mark", {"picked": picked, "near": list(near), "pair": pair, "text": text})

    def set_words(self, words: Sequence[tuple[str, Sequence[float]]]) -> None:
        """Words at places (x, y, z)."""
        self.run_method("set_words", [{"text": text, "place": list(place)} for text, place in words])

    def clear_selection(self) -> None:
        """Drops the lasso."""
        self.run_method("clear_selection")


def indices_of_bits(text: str, count: int) -> NDArray[np.int64]:
    """Indices of the set bits of base64 text, the lowest first; those from ``count`` on are left out."""
    try:
        data = np.frombuffer(base64.b64decode(text, validate=True), np.uint8)
    except (binascii.Error, ValueError):
        return np.empty(0, np.int64)
    return np.flatnonzero(np.unpackbits(data, bitorder="little")[:count])
