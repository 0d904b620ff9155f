"""Labels of a few points, carried to another frame by each encoder's nearest cells."""

from __future__ import annotations

from typing import Any

from nicegui import ui

from perception_contrast_studio.components.encoders.encoder_image import Point
from perception_contrast_studio.components.encoders.encoder_modes import Mode
from perception_contrast_studio.components.encoders.encoder_pair import EncoderPair
from perception_contrast_studio.components.encoders.encoder_session import EncoderSession

# The first of the colours that the tasks draw labels in.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
MOST_POINTS = 60


class LabelMode(Mode):
    """Points with labels in one frame, and what becomes of them in another."""

    title = "Label propagation"
    about = (
        "Click a few points of each thing in the frame. Every cell of the frame below takes the label of the "
        "labelled cell that is most like it."
    )

    def __init__(self, session: EncoderSession, told: Any, refresh: Any) -> None:
        self._session, self._told, self._refresh = session, told, refresh
        self._points: list[tuple[Point, int]] = []
        self._label, self._target, self._least = 0, 0, 0.3
        self._urls = ""
        self._area: ui.column | None = None
        self._slider: ui.slider | None = None

    def controls(self) -> None:
        """Which label is set, and where the labels are carried to."""
        names = {n: f"Label {n + 1}" for n in range(len(COLOURS))}
        ui.select(names, value=self._label, label="Set", on_change=self._set_label).classes("col-6 col-sm-2")
        ui.button("Undo", icon="undo", on_click=self._undo).props("flat dense")
        ui.button("Clear", icon="clear", on_click=self._clear).props("flat dense")
        with ui.column().classes("col-12 col-sm-3 q-gutter-none"):
            text = ui.label("Least cosine 0.30").classes("text-caption")
            least = ui.slider(min=-0.2, max=0.95, step=0.05, value=self._least).props(
                'aria-label="Least cosine"'
            )

            async def set_least() -> None:
                self._least = float(least.value)
                text.set_text(f"Least cosine {self._least:.2f}")
                await self._refresh()

            least.on("change", set_least)

    def build(self) -> None:
        """The other frame, below."""
        self._area = ui.column().classes("full-width q-mt-md")
        with self._area:
            with ui.row().classes("full-width items-center no-wrap"):
                ui.label("Carried to frame").classes("text-subtitle2")
                self._slider = ui.slider(min=0, max=1, step=1, value=0).props('aria-label="Other frame"')
                self._number = ui.label().style("min-width: 60px")
                self._slider.on("change", self._set_target)
            self._other = EncoderPair(self._session, "Labels in the other frame")
            self._same = ui.label().classes("text-caption").props("role=status")
        self._area.set_visibility(False)

    def set_active(self, active: bool) -> None:
        """Shows or hides the other frame."""
        if self._area is not None:
            self._area.set_visibility(active)

    def picked(self, point: Point) -> bool:
        """A point of the label that is set."""
        if len(self._points) < MOST_POINTS:
            self._points.append((point, self._label))
        return True

    def frame_changed(self) -> None:
        """The points belonged to the last frame."""
        self._points.clear()
        source = self._session.source or {}
        if self._slider is None or "index" not in source:
            return
        count = self._session.frames(source.get("path", ""))
        self._target = (source["index"] + max(1, count // 10)) % count
        self._slider.props(f"max={count - 1}")
        self._slider.set_value(self._target)
        self._number.set_text(f"{self._target + 1} of {count}")

    async def show(self, pair: EncoderPair) -> None:
        """Marks the points, and carries their labels."""
        pair.clear()
        pair.set_marks([(point, COLOURS[label], str(label + 1)) for point, label in self._points])
        source = self._session.source or {}
        if "index" not in source:
            self._same.set_text("Labels are carried between frames of a dataset; choose one above.")
            return
        target = {"kind": source["kind"], "path": source.get("path", ""), "index": self._target}
        opened = await self._session.run("datasets.frame_sources:open_frame", source=target)
        if opened is None or self._session.gone:
            return
        self._urls = self._session.publish(opened["jpeg"], "image/jpeg", self._urls)
        self._other.show_frame(self._urls)
        if self._points:
            await self._carry(target)
        else:
            self._same.set_text("No point has a label yet.")

    async def _carry(self, target: dict[str, Any]) -> None:
        found = await self._session.run(
            "encoders.compare_encoders:propagate_labels",
            told=self._told,
            encoders=list(self._session.encoders),
            source=self._session.source,
            target=target,
            short_side=self._session.short_side,
            points=[point for point, _ in self._points],
            labels=[label for _, label in self._points],
            least=self._least,
        )
        if found is not None:
            self._other.show_views(found["views"])
            self._same.set_text(f"Both encoders give the same label to {found['same']:.0%} of the cells.")

    def _set_label(self, event: Any) -> None:
        self._label = int(event.value or 0) % len(COLOURS)

    async def _set_target(self) -> None:
        if self._slider is not None:
            self._target = int(self._slider.value)
            self._number.set_text(f"{self._target + 1} of {int(self._slider.props['max']) + 1}")
            await self._refresh()

    async def _undo(self) -> None:
        if self._points:
            self._points.pop()
            await self._refresh()

    async def _clear(self) -> None:
        self._points.clear()
        await self._refresh()
