"""The element with thumbnails of many frames; its work is done in the browser by frame_grid.js."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from nicegui import events
from nicegui.element import Element

from perception_contrast_studio.server.studio_page import Visit

PLAIN, DUPLICATE = 0, 1


class FrameGrid(Element, component="frame_grid.js"):
    """Thumbnails, of which only those in sight are loaded.

    Args:
        visit: Whose data it publishes.
        opened: Called with the number of the frame that somebody opens.
    """

    def __init__(self, visit: Visit, opened: Callable[[int], Any]) -> None:
        super().__init__()
        self._visit = visit
        self._props["source"] = self._props["base"] = ""

        def on_open(event: events.GenericEventArguments) -> Any:
            return opened(int(event.args))

        self.on("open", on_open)

    def show(self, base: str, frames: Sequence[int], marks: Sequence[int]) -> None:
        """Other frames.

        Args:
            base: URL of the dataset.
            frames: Numbers in the dataset.
            marks: Of each, ``PLAIN`` or ``DUPLICATE``.
        """
        self._visit.studio.blobs.remove(self._props["source"])
        data = json.dumps({"frames": list(frames), "marks": list(marks)}, separators=(",", ":"))
        self._props["base"] = base
        self._props["source"] = self._visit.publish(data.encode(), "application/json")


CSS = """
.frame-grid { height: min(64vh, 720px); overflow-y: auto; width: 100%; border-radius: 6px;
  border: 1px solid rgba(128,128,128,.4); }
.frame-grid-tile { position: absolute; overflow: hidden; border-radius: 6px; cursor: pointer; margin: 3px; }
.frame-grid-tile img { width: 100%; height: 100%; object-fit: cover; background: rgba(128,128,128,.25); }
.frame-grid-tile span { position: absolute; left: 0; bottom: 0; background: rgba(0,0,0,.7); color: #fff;
  padding: 0 6px; font-size: 12px; }
.frame-grid-active { outline: 3px solid #e69f00; outline-offset: -3px; }
"""
