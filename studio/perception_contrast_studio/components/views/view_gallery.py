"""Shows an image, the crops of its views on it, and each view with the steps that made it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nicegui import ui
from nicegui.element import Element

# Okabe and Ito's colours that are seen on photographs.
COLOURS = ("#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#f0e442", "#d55e00", "#0072b2")
SMALL = "local"
LABELS = {
    "crop": "crop",
    "flip": "mirror",
    "colours": "colours",
    "brightness": "brightness",
    "contrast": "contrast",
    "saturation": "saturation",
    "hue": "hue",
    "grey": "grey",
    "blur": "blur",
    "solarise": "solarise",
    "masked": "hidden patches",
}


class ViewGallery(Element, component="view_gallery.js"):
    """Starts empty."""

    def __init__(self) -> None:
        super().__init__()
        ui.add_css(_CSS)
        self._props["sources"], self._props["views"] = [], []

    def show(self, sources: Sequence[Mapping[str, Any]], views: Sequence[Mapping[str, Any]]) -> None:
        """Shows views without cosines.

        Args:
            sources: ``url``, ``alt``, ``height`` and ``width`` of each.
            views: As of ``tasks.training.augmentations.views`` with ``url`` in place of ``jpeg``.
        """
        self._props["sources"] = list(sources)
        self._props["views"] = [_view(one, number, sources) for number, one in enumerate(views)]
        self.update()

    def show_cosines(self, cosines: Mapping[str, Any]) -> None:
        """Adds to the views what ``tasks.training.augmentations.cosines`` found of them."""
        for number, view in enumerate(self._props["views"]):
            view["cosine"] = cosines["sources"][number]
            for step, value in zip(view["steps"], cosines["steps"][number], strict=True):
                step["cosine"] = value
        self.update()


def _view(view: Mapping[str, Any], number: int, sources: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    box, source = view["box"], sources[view["source"]]
    steps = [
        {
            "name": step["name"],
            "label": LABELS.get(step["name"], step["name"]),
            "url": step["url"],
            "detail": step_detail(step["name"], step["values"], box[2] * box[3]) if step["url"] else "",
            "cosine": None,
        }
        for step in view["steps"]
    ]
    return {
        "title": view["title"],
        "source": view["source"],
        "box": box,
        "colour": COLOURS[number % len(COLOURS)],
        "small": view["title"].startswith(SMALL),
        "steps": steps,
        "cosine": None,
        "size": f"{source['width']} x {source['height']}",
    }


def step_detail(name: str, values: Mapping[str, float], share: float) -> str:
    """What was drawn, in words.

    Args:
        name: Of the step.
        values: What chance gave it.
        share: Area of the view's crop, of the source.
    """
    if name == "crop":
        return f"{share:.0%} of the image, {values['width']:.0f} x {values['height']:.0f} pixels"
    if "factor" in values:
        return f"times {values['factor']:.2f}"
    if "turn" in values:
        return f"turned by {360 * values['turn']:+.0f} degrees"
    if "sigma" in values:
        return f"over {values['sigma']:.1f} pixels"
    if "share" in values:
        return f"{values['share']:.0%} of the patches"
    return ""


_CSS = """
.vg { width: 100%; }
.vg figure { margin: 0; }
.vg-sources { display: flex; flex-wrap: wrap; gap: 12px; }
.vg-source { flex: 1 1 260px; max-width: 560px; }
.vg-frame { position: relative; line-height: 0; }
.vg-frame img { width: 100%; border-radius: 6px; }
.vg-frame svg { position: absolute; inset: 0; width: 100%; height: 100%; }
.vg-name { font: 600 30px system-ui, sans-serif; paint-order: stroke; stroke: #000; stroke-width: 6px; }
.vg-faint { opacity: .2; }
.vg figcaption { font-size: 12px; opacity: .8; line-height: 1.3; overflow-wrap: anywhere; }
.vg-large { display: flex; flex-wrap: wrap; gap: 12px; margin-top: 12px; }
.vg-view { flex: 1 1 300px; min-width: 0; border: 2px solid; border-radius: 10px; padding: 10px; }
.vg-view h3 { margin: 0 0 8px; font-size: 16px; line-height: 1.3; font-weight: 600; display: flex; gap: 8px;
  align-items: center; flex-wrap: wrap; }
.vg-chip { width: 12px; height: 12px; border-radius: 50%; display: inline-block; }
.vg-cosine { font-size: 12px; font-weight: 400; opacity: .85; }
.vg-final { width: 100%; max-width: 300px; border-radius: 6px; image-rendering: auto; display: block; }
.vg-steps { list-style: none; margin: 10px 0 0; padding: 0; display: grid; gap: 10px 8px;
  grid-template-columns: repeat(auto-fill, minmax(88px, 1fr)); }
.vg-steps img, .vg-none { width: 100%; aspect-ratio: 1; border-radius: 4px; display: block; }
.vg-none { border: 1px dashed currentColor; opacity: .5; display: flex; align-items: center;
  justify-content: center; text-align: center; font-size: 11px; line-height: 1.3; }
.vg-label { font-size: 12px; font-weight: 600; line-height: 1.4; }
.vg-detail { font-size: 11px; opacity: .8; line-height: 1.25; min-height: 1.25em; }
.vg-out .vg-label { opacity: .6; }
.vg-bar { position: relative; height: 14px; border-radius: 3px; overflow: hidden;
  background: rgba(128, 128, 128, .25); }
.vg-bar span { position: absolute; inset: 0 auto 0 0; background: #0072b2; }
.vg-bar b { position: absolute; right: 4px; font: 600 10px/14px system-ui, sans-serif; color: #fff;
  text-shadow: 0 0 2px #000, 0 0 2px #000; }
.vg-small { display: flex; flex-wrap: wrap; gap: 8px; margin-top: 12px; }
.vg-small figure { width: 84px; text-align: center; }
.vg-small img { width: 100%; border: 2px solid; border-radius: 4px; }
"""
