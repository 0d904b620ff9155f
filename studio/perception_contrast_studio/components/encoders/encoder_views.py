"""The ways to look at one frame by two encoders, one at a time."""

from __future__ import annotations

from typing import Any

from nicegui import ui

from perception_contrast_studio.components.encoders.encoder_image import Box, Point
from perception_contrast_studio.components.encoders.encoder_modes import (
    AttentionMode,
    ClustersMode,
    ComponentsMode,
    FrameViews,
    Mode,
    SimilarityMode,
)
from perception_contrast_studio.components.encoders.encoder_pair import EncoderPair
from perception_contrast_studio.components.encoders.encoder_session import EncoderSession
from perception_contrast_studio.components.encoders.label_mode import LabelMode
from perception_contrast_studio.components.encoders.retrieval_mode import RetrievalMode
from perception_contrast_studio.components.shared.latest import Latest


class EncoderViews:
    """Two images, a row of buttons that say what is laid over them, and the controls of each way."""

    def __init__(self, session: EncoderSession) -> None:
        self._session = session
        self._latest = Latest(self._show, self._status_problem)
        session.visit.on_leave(self._latest.close)
        self._image = ""
        self._views = FrameViews(session, self._told)
        self._labels = LabelMode(session, self._told, self.refresh)
        self._retrieval = RetrievalMode(session)
        self._similarity = SimilarityMode(session, self._told, self.refresh)
        self._modes: dict[str, Mode] = {
            "pca": ComponentsMode(self._views, self.refresh),
            "clusters": ClustersMode(self._views, self.refresh),
            "similarity": self._similarity,
            "attention": AttentionMode(session, self._told, self.refresh),
            "labels": self._labels,
            "retrieval": self._retrieval,
        }
        self._chosen = "pca"
        self._build()
        session.on_change.append(self._changed)
        session.visit.on_leave(self._retrieval.cancel)

    def _build(self) -> None:
        with ui.row().classes("full-width items-center"):
            self._tabs = (
                ui.tabs(on_change=self._switch)
                .props("dense no-caps inline-label outside-arrows")
                .classes("col")
            )
            with self._tabs:
                for name, mode in self._modes.items():
                    ui.tab(name, label=mode.title)
        self._about = ui.label().classes("text-body2 studio-wrap q-my-xs")
        self._controls: dict[str, ui.row] = {}
        for name, mode in self._modes.items():
            with ui.row().classes("full-width items-center") as row:
                mode.controls()
            self._controls[name] = row
        self._bar = ui.linear_progress(0, show_value=False).props("aria-label=Progress")
        self._status = ui.label("Starting the encoders…").classes("text-caption").props("role=status")
        self._pair = EncoderPair(self._session, "Frame", self._picked, self._dragged)
        with ui.row().classes("full-width items-center no-wrap").style("max-width: 420px"):
            ui.label("Overlay").classes("text-caption")
            ui.slider(
                min=0,
                max=1,
                step=0.05,
                value=0.75,
                on_change=lambda e: self._pair.set_opacity(float(e.value)),
            ).props('aria-label="Opacity of the overlay"')
        self._agreement = ui.label().classes("text-body2 studio-wrap")
        self._labels.build()
        self._retrieval.build()
        self._tabs.set_value(self._chosen)
        self._arrange()

    async def _changed(self) -> None:
        if self._image != self._session.image:
            self._image = self._session.image
            for mode in self._modes.values():
                mode.frame_changed()
        self._pair.show_frame(self._image)
        await self.refresh()

    async def refresh(self) -> None:
        """Computes and shows what is chosen; of several requests the last."""
        if self._session.ready and not self._session.gone:
            self._latest.request()

    async def _show(self) -> None:
        if self._session.gone:
            return
        self._told(0.02, "computing")
        await self._modes[self._chosen].show(self._pair)
        if not self._session.gone:
            self._bar.set_visibility(False)
            self._status.set_text("")
            self._agreement.set_text(self._views.agreement())

    def _status_problem(self, text: str) -> None:
        if text and not self._session.gone:
            self._status.set_text(text)

    def _told(self, fraction: float, text: str) -> None:
        self._bar.set_visibility(True)
        self._bar.set_value(fraction)
        self._status.set_text(text)

    async def _switch(self, event: Any) -> None:
        if event.value in self._modes and event.value != self._chosen:
            self._chosen = event.value
            self._arrange()
            self._pair.clear()
            await self.refresh()

    def _arrange(self) -> None:
        mode = self._modes[self._chosen]
        self._about.set_text(mode.about)
        for name, row in self._controls.items():
            row.set_visibility(name == self._chosen)
        self._labels.set_active(mode is self._labels)
        self._retrieval.set_active(mode is self._retrieval)
        for image in self._pair.images:
            image.show(boxes=mode.boxes)

    async def _picked(self, point: Point) -> None:
        if not self._modes[self._chosen].picked(point):
            self._similarity.picked(point)
            self._tabs.set_value("similarity")
            return
        await self.refresh()

    async def _dragged(self, box: Box) -> None:
        if self._modes[self._chosen].dragged(box):
            await self.refresh()
