"""Images and words as points: near means similar."""

from __future__ import annotations

import asyncio
import re

import numpy as np
from nicegui import ui
from numpy.typing import NDArray

from perception_contrast.core.errors import PerceptionError
from perception_contrast_studio.components.embedding.embedding_panels import (
    LegendPanel,
    PointPanel,
    WordPanel,
)
from perception_contrast_studio.components.embedding.embedding_session import EmbeddingSession, Projection
from perception_contrast_studio.components.embedding.lasso_panel import LassoPanel
from perception_contrast_studio.components.embedding.point_cloud_view import PointCloudView
from perception_contrast_studio.components.embedding.point_pictures import add_routes
from perception_contrast_studio.components.embedding.projection_controls import ProjectionControls
from perception_contrast_studio.components.embedding.source_picker import NOTHING, SourcePicker
from perception_contrast_studio.components.shared.progress_bar import ProgressBar
from perception_contrast_studio.points.sources import Source
from perception_contrast_studio.server.studio_page import StudioPage, Visit

_EXPLANATION = """
An encoder turns each image into a long list of numbers, a **vector**. Images that it takes for alike get
vectors that point the same way: their **cosine** is near 1. This page draws each vector as a point, so that
alike images lie side by side.

- **PCA** shows the directions in which the vectors differ most. It is quick and keeps distances, but shows
  only two or three of many directions.
- **UMAP** keeps neighbours together and pulls groups apart. Distances between far groups mean little.
- **Words** land among the images if the encoder learned from images with texts (household-lit, CLIP,
  SigLIP).

Try this: colour by label and look for points of one colour inside another group. Click one: its neighbours
tell why. Draw a lasso around a group (Shift + drag) and export it as a part of the dataset.

Mouse: drag moves (3D: turns; with the right button moves), the wheel zooms. Keys, when the picture has the
focus: arrows move, Shift + arrows turn, + and - zoom, 0 shows all, Enter chooses the point in the middle,
Escape clears.
"""


class _EmbeddingView:
    """Wires the parts of the page for one visitor."""

    def __init__(self, visit: Visit) -> None:
        self.session = EmbeddingSession(visit)
        ui.add_css(_CSS)
        with ui.expansion("What is this?", icon="help_outline").classes("full-width"):
            ui.markdown(_EXPLANATION)
        with ui.row().classes("full-width items-center embedding-sources") as self.sources:
            pass
        self.progress = ProgressBar(self._cancel)
        with self.sources:
            self.picker = SourcePicker(visit, self.progress, self.open_source, self._explain)
        self.controls = ProjectionControls(self.session, self._project, self._colour)
        with ui.row().classes("full-width embedding-columns"):
            with ui.column().classes("embedding-cloud"):
                with ui.element("div").classes("embedding-stage"):
                    self.cloud = PointCloudView(
                        "Points: arrow keys move, plus and minus zoom, 0 shows all, Enter chooses",
                        on_ready=self._ready,
                        on_pick=self._pick,
                        on_lasso=self._lasso,
                        on_clear=self._clear,
                    )
                    self.empty = ui.label("").classes("embedding-empty studio-wrap").props("role=status")
                    self.empty.set_visibility(False)
                self.caption = ui.label("").classes("text-caption studio-wrap").props("role=status")
            with ui.column().classes("embedding-side"):
                self._panels(visit)
        visit.on_leave(self.session.cancel)

    def _panels(self, visit: Visit) -> None:
        with _section("Point", "my_location"):
            self.point = PointPanel(self.session, self._pick)
        with _section("Words", "text_fields"):
            self.words = WordPanel(self.session, self._add_words, self._show_words, self.point)
        with _section("Lasso", "gesture"):
            self.lasso = LassoPanel(visit, self.session, self._clear)
        with _section("Colours", "palette"):
            self.legend = LegendPanel(self.session, self._recolour)
        self.lasso.update()

    async def start(self) -> None:
        """Lists the sources; the first one opens by itself."""
        if not await self.picker.load():
            self._explain(NOTHING)

    async def open_source(self, source: Source, grew: bool) -> None:
        """Shows a source. grew: it is the one that is shown, with more points."""
        session = self.session
        if not grew:
            self.progress.tell(0.0, f"opening {source.title}")
        try:
            await session.open(source, (lambda fraction, text: None) if grew else self.progress.tell)
        except PerceptionError as error:
            ui.notify(str(error), type="warning", multi_line=True)
            return
        finally:
            self.progress.end()
        self._explain("")
        self.controls.update()
        self.cloud.show(session.picture(keep=grew), len(session.positions))
        self._update_all()
        if not grew:
            self.point.show_nothing()
        self.cloud.show_marks()

    def _explain(self, text: str) -> None:
        """Says in the place of the picture why there is none."""
        self.empty.set_text(text)
        self.empty.set_visibility(bool(text))
        if text and self.session.points is not None:
            # What was shown before must not be taken for what was chosen.
            self.session.close()
            self._clear()
            self._update_all()

    def _update_all(self) -> None:
        self._tell_caption()
        self.legend.update()
        self.lasso.update()
        self._show_words()

    def _tell_caption(self) -> None:
        session, points = self.session, self.session.points
        if points is None:
            self.caption.set_text("")
            return
        space = f" of the space {points.space}" if points.space else ""
        lines = [f"{len(points):,} points{space}. {session.caption}.", *points.remarks]
        self.caption.set_text("\n".join(lines))

    def _ready(self) -> None:
        if self.session.points is not None:
            self.cloud.show(self.session.picture(), len(self.session.positions))
            self._show_words()

    async def _project(self, wanted: Projection) -> None:
        if self.session.points is None:
            return
        self.progress.tell_cancellable(0.0, f"{wanted.method}: starting")
        try:
            await self.session.project(wanted, self.progress.tell_cancellable)
        except PerceptionError as error:
            ui.notify(str(error), type="warning", multi_line=True)
        except asyncio.CancelledError:
            # Only the projection was cancelled; a task that ends with its page is cancelled itself.
            if (current := asyncio.current_task()) is not None and current.cancelling():
                raise
            ui.notify("The projection was cancelled.")
        else:
            self.cloud.show(self.session.picture(animate=True), len(self.session.positions))
        finally:
            self.progress.end()
        self.controls.update()
        self._tell_caption()
        self._show_words()

    async def _colour(self, way: str) -> None:
        if self.session.points is None:
            return
        try:
            await self.session.colour_by(way, self.progress.tell)
        except PerceptionError as error:
            ui.notify(str(error), type="warning", multi_line=True)
        finally:
            self.progress.end()
        self.controls.update()
        self.legend.update()
        self._recolour()

    def _recolour(self) -> None:
        self.cloud.recolour(self.session.colours())

    def _cancel(self) -> None:
        if not self.picker.cancel():
            self.session.cancel()

    async def _pick(self, index: int, second: bool) -> None:
        session, first = self.session, self.session.picked
        try:
            if second and first >= 0 and first != index:
                cosine = await session.cosine(first, index)
                self.cloud.show_marks(first, pair=(first, index), text=f"{cosine:.3f}")
                self.point.show_pair(first, index, cosine)
                return
            session.picked = index
            self.cloud.show_marks(index)
            near = await session.neighbours(index)
        except PerceptionError as error:
            ui.notify(str(error), type="warning", multi_line=True)
            return
        if session.picked == index:
            self.cloud.show_marks(index, near=[one for one, _ in near])
            self.point.show(index, near)

    def _lasso(self, selection: NDArray[np.int64]) -> None:
        self.session.selection = selection
        self.picker.pause()
        self.lasso.update()

    def _clear(self) -> None:
        self.session.selection, self.session.picked = np.empty(0, np.int64), -1
        self.cloud.clear_selection()
        self.cloud.show_marks()
        self.point.show_nothing()
        self.lasso.update()

    async def _add_words(self, text: str) -> None:
        texts = [one.strip() for one in re.split("[;\n]", text) if one.strip()]
        try:
            await self.session.add_words(texts, self.progress.tell)
        except PerceptionError as error:
            ui.notify(str(error), type="warning", multi_line=True)
        finally:
            self.progress.end()
        self._show_words()

    def _show_words(self) -> None:
        self.words.update()
        self.cloud.set_words([(word.text, word.place) for word in self.session.words])


def _section(title: str, icon: str) -> ui.expansion:
    expansion = ui.expansion(title, icon=icon, value=True).classes("full-width embedding-section")
    return expansion.props("dense header-class=text-weight-medium")


async def build(visit: Visit) -> None:
    """Builds the page for one visitor."""
    view = _EmbeddingView(visit)
    ui.timer(0.0, view.start, once=True)


_CSS = """
.embedding-sources { gap: 12px; }
.embedding-columns { align-items: stretch; gap: 12px; flex-wrap: nowrap; }
.embedding-cloud { flex: 1 1 0; min-width: 0; gap: 4px; }
.embedding-empty { position: absolute; inset: 1px; text-align: center; padding: 20vh 10% 0;
  border-radius: 8px; background: #f2f2f2; }
.body--dark .embedding-empty { background: #1d1d1d; }
.embedding-stage { position: relative; width: 100%; height: calc(100vh - 270px); min-height: 380px; }
.embedding-side { gap: 10px; flex: 0 0 360px; max-width: 360px; max-height: calc(100vh - 190px);
  overflow-y: auto; min-height: 420px; }
.embedding-section { border: 1px solid rgba(128, 128, 128, .3); border-radius: 8px; }
.embedding-section .q-item__section--avatar { min-width: 36px; }
.embedding-panel { gap: 6px; }
.embedding-legend { display: flex; align-items: center; gap: 6px; width: 100%; border: 0; background: none;
  color: inherit; font: inherit; font-size: 13px; padding: 2px 4px; cursor: pointer; border-radius: 6px; }
.embedding-legend:hover, .embedding-near:hover { background: rgba(0, 114, 178, .12); }
.embedding-near { border: 0; background: none; color: inherit; font: inherit; cursor: pointer;
  border-radius: 6px; width: 80px; padding: 3px; display: flex; flex-direction: column; align-items: center;
  line-height: 1.3; }
.embedding-near .ellipsis { max-width: 74px; }
@media (max-width: 900px) {
  .embedding-columns { flex-wrap: wrap; }
  .embedding-cloud, .embedding-side { flex: 1 1 100%; max-width: 100%; max-height: none; }
  .embedding-stage { height: 60vh; min-height: 320px; }
}
"""

PAGE = StudioPage(
    path="/embedding",
    title="Embedding space",
    icon="scatter_plot",
    summary="Images and words as points: near means similar.",
    build=build,
    routes=add_routes,
)
