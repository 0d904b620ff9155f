"""The ways to look at the cells of two encoders: components, clusters, likeness, attention."""

from __future__ import annotations

from typing import Any, Protocol

from nicegui import ui

from perception_contrast_studio.components.encoders.encoder_image import Box, Point
from perception_contrast_studio.components.encoders.encoder_pair import EncoderPair
from perception_contrast_studio.components.encoders.encoder_session import EncoderSession

MOST_BLOCKS = 12


class Mode(Protocol):
    """A way to look at a frame.

    Attributes:
        title: On its button.
        about: What one sees, in a sentence.
        boxes: Whether a part of the frame can be chosen.
    """

    title: str
    about: str
    boxes: bool = False

    def controls(self) -> None:
        """Builds its own controls."""

    async def show(self, pair: EncoderPair) -> None:
        """Shows it."""

    def picked(self, point: Point) -> bool:
        """Takes a point that was clicked; says whether it means anything to this way."""
        return False

    def dragged(self, box: Box) -> bool:
        """Takes a part of the frame; says whether it means anything to this way."""
        return False

    def frame_changed(self) -> None:
        """Forgets what belonged to the last frame."""
        return


class FrameViews:
    """Components and clusters, which one task computes; kept until what they depend on changes."""

    def __init__(self, session: EncoderSession, told: Any) -> None:
        self._session, self._told = session, told
        self.clusters, self.one_scale = 6, False
        self._key: object = None
        self._found: dict[str, Any] | None = None

    async def get(self) -> dict[str, Any] | None:
        """The views; None where they could not be computed."""
        session = self._session
        key = (tuple(session.encoders), session.image, session.short_side, self.clusters, self.one_scale)
        if key != self._key or self._found is None:
            self._key = key
            self._found = await session.run(
                "encoders.compare_encoders:frame_views",
                told=self._told,
                encoders=list(session.encoders),
                source=session.source,
                short_side=session.short_side,
                clusters=self.clusters,
                one_scale=self.one_scale,
            )
        return self._found

    def agreement(self) -> str:
        """How much both encoders agree, in a sentence."""
        found = self._found
        if found is None:
            return ""
        return (
            f"Agreement of the two: {found['agreement']:.0%} of each cell's 10 nearest cells are the same "
            f"({found['chance']:.1%} by chance)."
        )


class ComponentsMode(Mode):
    """The first three principal components as colours."""

    title = "PCA colours"
    about = (
        "Cells with like features have like colours. The colours of the two encoders have nothing to do with "
        "each other; where they change does."
    )

    def __init__(self, views: FrameViews, refresh: Any) -> None:
        self._views, self._refresh = views, refresh

    def controls(self) -> None:
        """How the components are scaled."""
        choices = {False: "Each component stretched", True: "One scale for all three"}
        ui.select(choices, value=self._views.one_scale, label="Scaling of both", on_change=self._set).classes(
            "col-12 col-sm-4"
        )

    async def _set(self, event: Any) -> None:
        self._views.one_scale = bool(event.value)
        await self._refresh()

    async def show(self, pair: EncoderPair) -> None:
        """Shows the colours."""
        found = await self._views.get()
        if found is not None:
            pair.show_views(found["pca"])


class ClustersMode(Mode):
    """k-means of the cells."""

    title = "Clusters"
    about = (
        "k-means parts the cells of each frame into k groups. The colours of the second are matched to those "
        "of the first where they overlap most."
    )

    def __init__(self, views: FrameViews, refresh: Any) -> None:
        self._views, self._refresh = views, refresh
        self._same: ui.label | None = None

    def controls(self) -> None:
        """How many clusters."""
        with ui.row().classes("col-12 col-sm-6 items-center no-wrap"):
            text = ui.label(f"k = {self._views.clusters}").style("min-width: 52px")
            slider = ui.slider(min=2, max=12, step=1, value=self._views.clusters).props(
                'aria-label="Number of clusters" markers snap'
            )

            async def set_clusters() -> None:
                self._views.clusters = int(slider.value)
                text.set_text(f"k = {self._views.clusters}")
                await self._refresh()

            slider.on("change", set_clusters)
        self._same = ui.label().classes("text-caption")

    async def show(self, pair: EncoderPair) -> None:
        """Shows the clusters."""
        found = await self._views.get()
        if found is not None and self._same is not None:
            pair.show_views(found["clusters"])
            self._same.set_text(
                f"Likeness of both partitions: {found['same_clusters']:.2f} (adjusted mutual information; 1: "
                "the same, 0: chance)"
            )


class SimilarityMode(Mode):
    """Cosine with the cell that was clicked."""

    title = "Click similarity"
    about = "Click a place in either image (or focus it, move the cross by arrow keys and press Enter)."

    def __init__(self, session: EncoderSession, told: Any, refresh: Any) -> None:
        self._session, self._told, self._refresh = session, told, refresh
        self._point: Point | None = None
        self._same_scale = False

    def controls(self) -> None:
        """Which scale."""
        ui.switch("One cosine scale for both", value=self._same_scale, on_change=self._set)

    async def _set(self, event: Any) -> None:
        self._same_scale = bool(event.value)
        await self._refresh()

    def picked(self, point: Point) -> bool:
        """The place to compare with."""
        self._point = point
        return True

    def frame_changed(self) -> None:
        """The place belonged to the last frame."""
        self._point = None

    async def show(self, pair: EncoderPair) -> None:
        """Shows the heat maps."""
        session, point = self._session, self._point
        if point is None:
            pair.clear()
            return
        pair.set_marks([(point, "transparent", "")])
        found = await session.run(
            "encoders.compare_encoders:point_similarity",
            told=self._told,
            encoders=list(session.encoders),
            source=session.source,
            short_side=session.short_side,
            point=point,
            same_scale=self._same_scale,
        )
        if found is not None:
            pair.show_views(found, scale=True)


class AttentionMode(Mode):
    """Where the class token looks."""

    title = "Attention"
    about = (
        "The class token stands for the whole image; these are the cells that it gathers from. Each head "
        "looks for something else."
    )

    def __init__(self, session: EncoderSession, told: Any, refresh: Any) -> None:
        self._session, self._told, self._refresh = session, told, refresh
        self._block, self._head = 0, -1
        self._heads: ui.select | None = None

    def controls(self) -> None:
        """Which block and which head."""
        blocks = {0: "Last block", **{n: f"{n} before the last" for n in range(1, MOST_BLOCKS)}}
        ui.select(
            blocks, value=self._block, label="Block", on_change=lambda e: self._set("_block", e.value)
        ).classes("col-6 col-sm-3")
        self._heads = ui.select(
            {-1: "Mean of all heads"}, value=-1, label="Head", on_change=lambda e: self._set("_head", e.value)
        ).classes("col-6 col-sm-3")

    async def _set(self, name: str, value: int) -> None:
        if getattr(self, name) != value:
            setattr(self, name, int(value))
            await self._refresh()

    async def show(self, pair: EncoderPair) -> None:
        """Shows the attention."""
        session = self._session
        found = await session.run(
            "encoders.compare_encoders:token_attention",
            told=self._told,
            encoders=list(session.encoders),
            source=session.source,
            short_side=session.short_side,
            block_from_end=self._block,
            head=self._head,
        )
        if found is None or self._heads is None:
            return
        pair.show_views(found, scale=True)
        most = max(view["heads"] for view in found)
        options = {-1: "Mean of all heads", **{n: f"Head {n + 1}" for n in range(most)}}
        if options != self._heads.options:
            self._heads.set_options(options, value=self._head if self._head < most else -1)
