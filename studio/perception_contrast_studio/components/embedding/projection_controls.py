"""Controls of the projection and of the colours."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from nicegui import ui

from perception_contrast_studio.components.embedding.embedding_session import EmbeddingSession, Projection
from perception_contrast_studio.components.embedding.point_colours import ways_of

_WAY_NAMES = {
    "label": "label",
    "time": "time",
    "bag": "bag or camera",
    "cluster": "cluster",
    "none": "one colour",
}


class ProjectionControls:
    """Method, dimensions, colours and clusters.

    Args:
        session: Whose picture it is.
        project: Called with another projection.
        colour: Called with another way to colour.
    """

    def __init__(
        self,
        session: EmbeddingSession,
        project: Callable[[Projection], Awaitable[None]],
        colour: Callable[[str], Awaitable[None]],
    ) -> None:
        self._session, self._project, self._colour, self._quiet = session, project, colour, False
        with ui.row().classes("items-center q-gutter-md full-width"):
            self._method = ui.toggle(["PCA", "UMAP"], value="PCA", on_change=self._changed)
            self._method.props('dense no-caps aria-label="Projection"')
            self._dimensions = ui.toggle({2: "2D", 3: "3D"}, value=2, on_change=self._changed)
            self._dimensions.props('dense no-caps aria-label="Dimensions"')
            self._way = ui.select(
                {"none": "one colour"}, value="none", label="Colour by", on_change=self._recoloured
            )
            self._way.props("dense").style("min-width: 130px")
            with ui.row().classes("items-center no-wrap q-gutter-sm") as self._clusters_row:
                self._clusters_text = ui.label("").classes("text-caption")
                self._clusters = ui.slider(min=2, max=40, value=session.clusters).style("width: 130px")
                self._clusters.props('aria-label="Number of clusters"')
                self._clusters.on_value_change(
                    lambda: self._clusters_text.set_text(f"{self._clusters.value} clusters")
                )
                self._clusters.on("change", self._recoloured)
            settings = ui.button(icon="tune").props('flat dense round aria-label="Settings of UMAP"')
            with settings, ui.menu(), ui.column().classes("q-pa-md"):
                self._near = ui.number("n_neighbors", value=15, min=2, max=200, precision=0).props("dense")
                self._near.tooltip("Small: fine detail; large: the whole")
                self._spread = ui.number("min_dist", value=0.1, min=0.0, max=0.99, step=0.05).props("dense")
                self._spread.tooltip("How tightly alike points may be packed")
                ui.button("Lay out again", on_click=self._changed).props("dense no-caps")
        self._clusters_text.set_text(f"{session.clusters} clusters")
        self.update()

    def update(self) -> None:
        """Shows what is in force, after a source was opened or something failed."""
        session = self._session
        self._quiet = True
        self._method.set_value(session.projection.method)
        self._dimensions.set_value(session.projection.dimensions)
        ways = ways_of(session.points) if session.points is not None else ["none"]
        self._way.set_options({way: _WAY_NAMES[way] for way in ways}, value=session.way or "none")
        self._quiet = False
        self._clusters_row.set_visibility(session.way == "cluster")

    async def _changed(self) -> None:
        if self._quiet or self._session.points is None:
            return
        umap = self._method.value == "UMAP"
        wanted = Projection(
            method=str(self._method.value),
            dimensions=int(self._dimensions.value or 2),
            near=int(self._near.value or 15) if umap else 15,
            spread=float(self._spread.value or 0.0) if umap else 0.1,
        )
        if wanted != self._session.projection:
            await self._project(wanted)

    async def _recoloured(self) -> None:
        if self._quiet or self._session.points is None:
            return
        self._session.clusters = int(self._clusters.value)
        await self._colour(str(self._way.value))
