"""The frames of a dataset that are most like a frame, by each encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nicegui import ui

from perception_contrast_studio.components.encoders.encoder_image import Box
from perception_contrast_studio.components.encoders.encoder_modes import Mode
from perception_contrast_studio.components.encoders.encoder_pair import EncoderPair
from perception_contrast_studio.components.encoders.encoder_session import EncoderSession
from perception_contrast_studio.components.shared.progress_line import ProgressLine

FOUND = 6
USUAL_LIMIT = 500
LIMITS = {200: "200 frames", 500: "500 frames", 2000: "2000 frames", 10000: "10000 frames"}


class RetrievalMode(Mode):
    """Asks a dataset for frames like the whole frame, or like a part of it."""

    title = "Retrieval"
    about = "Finds the frames of a dataset that are most like this one. Drag a box to ask for a part of it."
    boxes = True

    def __init__(self, session: EncoderSession) -> None:
        self._session = session
        self._box: Box | None = None
        self._urls: list[str] = []
        self._area: ui.column | None = None
        self._strips: list[ui.row] = []

    def controls(self) -> None:
        """Which dataset is asked, and when."""
        if not self._session.datasets:
            ui.label(
                "No dataset to search: start the studio with --dataset DIR; `perception-contrast data "
                "extract BAG --out DIR` makes one of a recording, and a folder of pictures will do."
            ).classes("studio-wrap")
            return
        options = {path: Path(path).name for path in self._session.datasets}
        self._searched = ui.select(options, value=next(iter(options)), label="Search in").classes(
            "col-6 col-sm-3"
        )
        self._limit = ui.select(LIMITS, value=USUAL_LIMIT, label="At most").classes("col-6 col-sm-2")
        ui.button("Find similar frames", icon="image_search", on_click=self._search)
        ui.button("Whole frame", icon="fullscreen", on_click=self._whole).props("flat dense")

    def build(self) -> None:
        """Where the found frames are shown."""
        self._area = ui.column().classes("full-width q-mt-sm")
        with self._area:
            self._progress = ProgressLine()
            self._told = ui.label().classes("text-caption studio-wrap").props("role=status")
            with ui.element("div").classes("row full-width q-col-gutter-md"):
                for _ in range(2):
                    with ui.column().classes("col-12 col-md-6"):
                        self._strips.append(ui.row().classes("full-width"))
        self._area.set_visibility(False)

    def set_active(self, active: bool) -> None:
        """Shows or hides what was found."""
        if self._area is not None:
            self._area.set_visibility(active)

    def dragged(self, box: Box) -> bool:
        """The part of the frame that is asked for."""
        self._box = box
        return True

    def frame_changed(self) -> None:
        """The part belonged to the last frame."""
        self._box = None
        self._pair_box(None)

    async def show(self, pair: EncoderPair) -> None:
        """Shows the frame with the chosen part."""
        self._pair = pair
        pair.clear()
        self._pair_box(self._box)

    def cancel(self) -> None:
        """Ends a search."""
        self._progress.cancel()

    def _pair_box(self, box: Box | None) -> None:
        pair = getattr(self, "_pair", None)
        if pair is not None:
            for image in pair.images:
                image.show(chosen=list(box or ()))

    def _whole(self) -> None:
        self._box = None
        self._pair_box(None)

    async def _search(self) -> None:
        session = self._session
        if not session.ready:
            ui.notify("Choose two encoders and a frame first.", type="warning")
            return
        self._told.set_text("")
        found = await session.long(
            self._progress,
            "encoders.encoder_scores:similar_frames",
            encoders=list(session.encoders),
            source=session.source,
            box=self._box,
            dataset=self._searched.value,
            most=self._limit.value,
            count=FOUND,
        )
        if found is not None and not session.gone:
            self._show_found(found)

    def _show_found(self, found: dict[str, Any]) -> None:
        for url in self._urls:
            self._session.visit.studio.blobs.remove(url)
        self._urls.clear()
        for strip, neighbours in zip(self._strips, found["neighbours"], strict=True):
            strip.clear()
            with strip:
                for one in neighbours:
                    self._add_picture(one)
        left_out = f" {found['left_out']} could not be read." if found["left_out"] else ""
        self._told.set_text(
            f"{found['frames']} frames were compared.{left_out} Agreement of the two: "
            f"{found['agreement']:.0%} of each frame's 10 nearest frames are the same "
            f"({found['chance']:.0%} by chance)."
        )

    def _add_picture(self, one: dict[str, Any]) -> None:
        url = self._session.publish(one["jpeg"], "image/jpeg")
        self._urls.append(url)
        with ui.column().classes("q-gutter-none").style("width: 148px"):
            ui.image(url).props(f'alt="frame {one["number"] + 1}"').style("border-radius: 6px; height: 96px")
            ui.label(f"cosine {one['cosine']:.3f}").classes("text-caption")
            ui.label(one["name"]).classes("text-caption ellipsis full-width").tooltip(one["name"])
