"""A frame twice, side by side, with what each of two encoders makes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from nicegui import ui

from perception_contrast_studio.components.encoders.encoder_image import Box, CosineScale, EncoderImage, Point
from perception_contrast_studio.components.encoders.encoder_session import EncoderSession


class EncoderPair:
    """Two images with overlays, scales and notes.

    Args:
        session: What is compared.
        what: What the images show, for those who do not see them.
        on_pick: Called with a point of either image.
        on_drag: Called with a box of either image.
    """

    def __init__(
        self,
        session: EncoderSession,
        what: str,
        on_pick: Callable[[Point], Any] | None = None,
        on_drag: Callable[[Box], Any] | None = None,
    ) -> None:
        self._session = session
        self._overlays = ["", ""]
        self.images: list[EncoderImage] = []
        self._titles, self._scales, self._notes = [], [], []
        with ui.element("div").classes("row full-width q-col-gutter-md"):
            for number in range(2):
                with ui.column().classes("col-12 col-md-6 gap-less"):
                    self._titles.append(ui.label().classes("text-subtitle2"))
                    label = f"{what}, {'first' if number == 0 else 'second'} encoder"
                    self.images.append(EncoderImage(label, on_pick, on_drag))
                    self._scales.append(CosineScale())
                    self._notes.append(ui.label().classes("text-caption studio-wrap"))

    def show_frame(self, url: str) -> None:
        """Shows a frame without overlays."""
        for number, image in enumerate(self.images):
            image.show(image=url)
            self._titles[number].set_text(self._session.title(number))
        self.clear()

    def clear(self) -> None:
        """Takes the overlays away."""
        for number, image in enumerate(self.images):
            self._drop(number)
            image.show(overlay="", marks=[], chosen=[])
            self._scales[number].hide()
            self._notes[number].set_text("")

    def show_views(self, views: Sequence[dict[str, Any]], *, scale: bool = False) -> None:
        """Lays the overlays of both encoders over the frame. scale: with the values of their colours."""
        for number, view in enumerate(views):
            url = self._session.publish(view["png"], "image/png", self._overlays[number])
            self._overlays[number] = url
            self.images[number].show(overlay=url)
            self._notes[number].set_text(view["note"])
            if scale and view["png"]:
                self._scales[number].show(view["low"], view["high"])
            else:
                self._scales[number].hide()

    def set_marks(self, points: Sequence[tuple[Point, str, str]]) -> None:
        """Draws the same marks into both images."""
        for image in self.images:
            image.set_marks(points)

    def set_opacity(self, opacity: float) -> None:
        """Of the overlays."""
        for image in self.images:
            image.show(opacity=opacity)

    def _drop(self, number: int) -> None:
        if self._overlays[number]:
            self._session.visit.studio.blobs.remove(self._overlays[number])
        self._overlays[number] = ""
