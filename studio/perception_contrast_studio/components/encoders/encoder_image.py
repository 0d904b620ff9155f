"""A frame with an overlay, in which points and boxes are chosen by pointer or keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from nicegui import ui
from nicegui.element import Element
from nicegui.events import GenericEventArguments

Point = tuple[float, float]
Box = tuple[float, float, float, float]
# The stops of viridis, which the heat maps are drawn in.
VIRIDIS = "linear-gradient(to right, #440154, #3b528b, #21918c, #5ec962, #fde725)"
CSS = """
.encoder-image { position: relative; width: 100%; line-height: 0; border-radius: 8px; overflow: hidden;
  background: rgba(128, 128, 128, .15); min-height: 60px; user-select: none; }
.encoder-image.picking { cursor: crosshair; }
.encoder-image img { width: 100%; display: block; }
.encoder-image .overlay { position: absolute; inset: 0; height: 100%; pointer-events: none; }
.encoder-image .mark { position: absolute; transform: translate(-50%, -50%); min-width: 18px; height: 18px;
  border-radius: 9px; border: 2px solid #fff; outline: 1px solid #000; color: #000;
  font: 700 11px/14px sans-serif; text-align: center; background: #fff; pointer-events: none; }
.encoder-image .cross { position: absolute; transform: translate(-50%, -50%); width: 26px; height: 26px;
  border: 2px solid #e69f00; outline: 1px solid #000; border-radius: 50%; pointer-events: none; }
.encoder-image .rectangle { position: absolute; border: 2px solid #e69f00; outline: 1px solid #000;
  pointer-events: none; }
.gap-less { gap: 4px !important; }
.encoder-scale { height: 10px; border-radius: 5px; flex: 1; min-width: 80px; }
"""


def _number(value: object) -> float:
    """A share that a browser sent."""
    number = float(value) if isinstance(value, int | float) else 0.0
    return min(max(number, 0.0), 0.9999) if number == number else 0.0


class EncoderImage(Element, component="encoder_image.js"):
    """A frame and what an encoder makes of it.

    Args:
        label: What it shows, for those who do not see it.
        on_pick: Called with a point, as shares of the width and height.
        on_drag: Called with a box, as shares of the width and height.
    """

    def __init__(
        self,
        label: str,
        on_pick: Callable[[Point], Any] | None = None,
        on_drag: Callable[[Box], Any] | None = None,
    ) -> None:
        super().__init__()
        self._props.update(
            image="", overlay="", opacity=0.75, label=label, marks=[], pick=on_pick is not None, boxes=False,
            chosen=[],
        )  # fmt: skip
        if on_pick is not None:

            def picked(event: GenericEventArguments) -> Any:
                return on_pick((_number(event.args.get("x")), _number(event.args.get("y"))))

            self.on("pick", picked)
        if on_drag is not None:

            def dragged(event: GenericEventArguments) -> Any:
                box = [_number(one) for one in list(event.args.get("box", []))[:4]]
                return on_drag((box[0], box[1], box[2], box[3])) if len(box) == 4 else None

            self.on("drag", dragged)

    def show(self, **values: object) -> None:
        """Changes properties of the component: image, overlay, opacity, label, boxes, chosen."""
        self._props.update(values)
        self.update()

    def set_marks(self, points: Sequence[tuple[Point, str, str]]) -> None:
        """Draws marks: a point, a colour and a text each."""
        self.show(marks=[{"x": x, "y": y, "colour": c, "text": text} for (x, y), c, text in points])


class CosineScale:
    """The colours of a heat map with the values at its ends."""

    def __init__(self) -> None:
        self._row = ui.row().classes("items-center no-wrap full-width text-caption")
        with self._row:
            self._low = ui.label()
            ui.element("div").classes("encoder-scale").style(f"background: {VIRIDIS}").props(
                'role=img aria-label="colours from low to high"'
            )
            self._high = ui.label()
        self.hide()

    def show(self, low: float, high: float) -> None:
        """Shows the scale from one value to another."""
        digits = 2 if high >= 0.1 else 4
        self._low.set_text(f"{low:.{digits}f}")
        self._high.set_text(f"{high:.{digits}f}")
        self._row.set_visibility(True)

    def hide(self) -> None:
        """Hides it."""
        self._row.set_visibility(False)
