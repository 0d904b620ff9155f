"""What is drawn over the image, and what the pointer does there."""

from __future__ import annotations

from collections.abc import Callable

from nicegui import ui

from perception_contrast_studio.components.live.live_stream import CLUSTERS
from perception_contrast_studio.components.live.live_view import LiveView

_LAYERS = {
    "boxes": ("Boxes", "Where a thing was found"),
    "names": ("Names", "What it is"),
    "scores": ("Scores", "How probable it is, 0 to 1"),
    "ids": ("Ids", "The number that stays with a thing from image to image"),
    "masks": ("Masks", "Which pixels belong to a label"),
    "instances": ("Instances", "Which pixels belong to which single thing"),
    "pca": ("Features (PCA)", "The image encoder's features as colours: like things get like colours"),
    "clusters": ("Clusters", "The features in a few groups (k-means), without any words"),
}
_SHOWN = ("boxes", "names", "scores")
_FILLED = {"masks", "instances", "pca", "clusters"}
_MODES = {"look": "Look", "hover": "Similarity", "example": "Show an example"}
_HINTS = {
    "look": "Choose what is drawn over the image. What nobody shows is not computed.",
    "hover": "Move over the image (touch: slide): bright cells look to the encoder like the one under the "
    "pointer. With keys: arrows.",
    "example": "Click on a thing, or drag a box around it; then say what it is called. With keys: arrows, "
    "Shift and arrows for a box, Enter; Escape cancels.",
}


class LayerPanel:
    """The switches of a view.

    Args:
        view: Is told what to show.
    """

    def __init__(self, view: LiveView) -> None:
        self._view = view
        self._switches: dict[str, ui.checkbox] = {}
        mode = ui.toggle(_MODES, value="look", on_change=lambda event: self._set_mode(event.value))
        mode.props('no-caps dense aria-label="What the pointer does" data-testid=mode').classes("live-modes")
        self._hint = ui.label(_HINTS["look"]).classes("text-caption")
        with ui.row().classes("live-layers").props('role=group aria-label="Layers"'):
            for name, (title, meaning) in _LAYERS.items():
                box = ui.checkbox(title, value=name in _SHOWN, on_change=self._tell)
                self._switches[name] = box.props("dense")
                box.tooltip(meaning)
        with ui.row().classes("full-width items-center no-wrap") as self._opacity:
            ui.label("Opacity").classes("text-caption")
            slider = self._slider("Opacity of masks and colours", 0.1, 1.0, 0.05, 0.45, view.set_opacity)
            slider.classes("col")
        with ui.row().classes("full-width items-center no-wrap") as self._clusters:
            ui.label("Groups").classes("text-caption")
            slider = self._slider(
                "Number of groups", *CLUSTERS, 1, 6, lambda count: view.set_clusters(int(count))
            )
            slider.classes("col")
        self._tell()

    def _slider(
        self, label: str, low: float, high: float, step: float, value: float, call: Callable[[float], None]
    ) -> ui.slider:
        slider = ui.slider(
            min=low, max=high, step=step, value=value, on_change=lambda event: call(event.value)
        )
        return slider.props(f'label aria-label="{label}"')

    def _tell(self) -> None:
        shown = {name for name, switch in self._switches.items() if switch.value}
        self._opacity.set_visibility(bool(shown & _FILLED))
        self._clusters.set_visibility("clusters" in shown)
        self._view.set_layers(shown)

    def _set_mode(self, mode: str) -> None:
        self._hint.text = _HINTS[mode]
        self._view.set_mode(mode)
