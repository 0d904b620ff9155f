"""The element on which boxes are drawn; its work is done in the browser by box_editor.js."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nicegui.element import Element


class BoxEditor(Element, component="box_editor.js"):
    """An image with boxes that can be drawn, moved, resized, named and deleted.

    Emits ``change`` with the frame's ``key`` and all its ``boxes``, ``step`` with +1 or -1, ``select`` with
    the ``index`` of a box or -1, and ``refused`` where somebody draws who may not.

    Args:
        readonly: Whether boxes are only shown.
    """

    def __init__(self, *, readonly: bool) -> None:
        super().__init__()
        self._props["readonly"] = readonly
        self._props["frame"] = {"key": "", "src": "", "width": 0, "height": 0, "boxes": [], "revision": 0}
        self._props["labels"] = []
        self._revision = 0

    def show(self, key: str, source: str, size: tuple[int, int], boxes: Sequence[dict[str, Any]]) -> None:
        """Another frame.

        Args:
            key: Of the frame.
            source: URL of its image.
            size: (height, width) in pixels.
            boxes: ``id``, ``label``, ``x``, ``y``, ``w``, ``h`` in pixels, and ``locked``.
        """
        self._revision += 1
        height, width = size
        self._props["frame"] = {
            "key": key,
            "src": source,
            "width": width,
            "height": height,
            "boxes": list(boxes),
            "revision": self._revision,
        }

    def set_labels(self, labels: Sequence[str]) -> None:
        """Names that are proposed; the first nine have the keys 1 to 9."""
        self._props["labels"] = list(labels)


CSS = """
.box-editor { display: flex; flex-direction: column; gap: 6px; width: 100%; }
.box-editor-bar, .box-editor-keys { display: flex; flex-wrap: wrap; gap: 6px; align-items: center; }
.box-editor button, .box-editor input { font: inherit; padding: 6px 10px; border-radius: 6px; color: inherit;
  background: rgba(128,128,128,.12); border: 1px solid rgba(128,128,128,.55); min-height: 36px; }
.box-editor button:disabled { opacity: .45; }
.box-editor button[aria-pressed=true] { background: rgba(0,114,178,.3); font-weight: 600; }
.box-editor-keys { min-height: 34px; }
.box-editor-keys button { border-width: 1px 1px 1px 6px; }
.box-editor-label { display: flex; gap: 6px; align-items: center; }
.box-editor-canvas { width: 100%; height: min(62vh, 640px, 80vw); background: #23262b; border-radius: 6px;
  touch-action: none; cursor: crosshair; display: block; }
.box-editor-status { min-height: 1.4em; font-variant-numeric: tabular-nums; }
.box-editor-list { list-style: none; margin: 0; padding: 0; display: flex; flex-wrap: wrap; gap: 6px; }
.box-editor-list button { border-left-width: 6px; text-align: left; }
"""
