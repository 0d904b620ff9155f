"""The canvas that shows a camera with its layers, and takes clicks, boxes and the pointer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from nicegui.element import Element
from nicegui.events import GenericEventArguments

from perception_contrast_studio.components.live.live_stream import UNNAMED


class LiveView(Element, component="live_view.js", esm={"live_drawing": "live_drawing"}):
    """Shows one camera; it connects by itself, also after the studio was away.

    Args:
        camera: Name, "" for the only one.
        on_example: Called with a dictionary of "stamp", "box" and "point" when somebody shows an example.
    """

    def __init__(self, camera: str, on_example: Callable[[dict[str, Any]], Any]) -> None:
        super().__init__()
        self._props["camera"] = camera or UNNAMED
        self._props["layers"] = []
        self._props["clusters"] = 6
        self._props["mode"] = "look"
        self._props["opacity"] = 0.45

        async def example(event: GenericEventArguments) -> None:
            result = on_example(dict(event.args))
            if result is not None:
                await result

        self.on("example", example)

    def show(self, camera: str) -> None:
        """Shows another camera."""
        self._props["camera"] = camera or UNNAMED
        self.update()

    def set_layers(self, layers: Iterable[str]) -> None:
        """Sets what is shown over the image; names as in live_camera.LAYERS."""
        self._props["layers"] = sorted(layers)
        self.update()

    def set_clusters(self, count: int) -> None:
        """Sets the number of groups of the layer "clusters"."""
        self._props["clusters"] = count
        self.update()

    def set_mode(self, mode: str) -> None:
        """Sets what the pointer does: "look", "hover" (similarity) or "example" (click, drag a box)."""
        self._props["mode"] = mode
        self.update()

    def set_opacity(self, opacity: float) -> None:
        """Sets that of masks and colours, 0 to 1."""
        self._props["opacity"] = opacity
        self.update()

    async def snapshot(self) -> dict[str, str]:
        """ "stamp" of the shown frame and "jpeg", a base64 text of the canvas with its layers."""
        found = await self.run_method("snapshot", timeout=10.0)
        return {key: str(found.get(key, "")) for key in ("stamp", "jpeg")}

    def dismiss(self) -> None:
        """Removes the drawn example."""
        self.run_method("dismiss")
