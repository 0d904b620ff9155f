"""What was kept of your recordings and why; label a few boxes."""

from __future__ import annotations

from urllib.parse import urlencode

from fastapi import APIRouter
from nicegui import ui

from perception_contrast.core.errors import PerceptionError
from perception_contrast_studio.components.dataset import (
    box_editor,
    dataset_labelling,
    dataset_overview,
    frame_grid,
)
from perception_contrast_studio.components.dataset.dataset_browser import DatasetBrowser
from perception_contrast_studio.components.dataset.dataset_catalog import dataset_catalog, frames_getter
from perception_contrast_studio.components.dataset.dataset_duplicates import DatasetDuplicates
from perception_contrast_studio.components.dataset.dataset_frames import DatasetFrames
from perception_contrast_studio.components.dataset.dataset_images import IMAGE_PATH, FrameImages
from perception_contrast_studio.components.dataset.dataset_labelling import DatasetLabelling
from perception_contrast_studio.components.dataset.dataset_overview import DatasetOverview
from perception_contrast_studio.components.shared import gaps
from perception_contrast_studio.server.page_frame import show_problem
from perception_contrast_studio.server.studio_page import Studio, StudioPage, Visit

TABS = ("Overview", "Frames", "Near-duplicates", "Label")
_ABOUT = """
A dataset is made of recordings: of a video, most frames show what the one before showed, and some are
blurred or dark. This page shows what was kept, what was left out and why, which frames are nearly the same,
and which part each frame is in (one to learn from, one to test on).

- *Overview*: counts, reasons, when and where frames were taken. "Show examples" looks at what was left out.
- *Frames*: all frames as small images. Choose one to see what is known of it.
- *Near-duplicates*: frames that show the same, side by side.
- *Label*: draw boxes around a few things, so that you can measure and calibrate on your own images.
"""
_EMPTY = """
No dataset is here yet. Make one in a terminal, and start the studio with it:

    perception-contrast data extract RECORDING --out kitchen
    perception-contrast studio --dataset kitchen

A folder of images will do as well.
"""


class DatasetView:
    """The page of one visitor.

    Args:
        visit: Of the visitor.
        number: Of the dataset.
        frames: What is known of it.
    """

    def __init__(self, visit: Visit, number: int, frames: DatasetFrames) -> None:
        self._visit, self._number, self._frames = visit, number, frames
        self._base = f"/dataset/{number}"
        self._built: set[str] = set()
        query = ui.context.client.request.query_params
        self._frame = whole_number(query.get("frame", ""), 0)
        self._labelling: DatasetLabelling | None = None
        first = query.get("tab", TABS[0])
        self._tabs = ui.tabs(on_change=self._on_tab).props(
            "no-caps align=left inline-label dense outside-arrows"
        )
        with self._tabs:
            for name in TABS:
                ui.tab(name)
        with ui.tab_panels(self._tabs, animated=False).classes("full-width").style("background: transparent"):
            self._panels = {name: self._panel(name) for name in TABS}
        self._first = first if first in TABS else TABS[0]

    async def open(self) -> None:
        """Shows the view that the address names."""
        self._tabs.value = self._first
        await self._on_tab()

    def _panel(self, name: str) -> ui.column:
        with ui.tab_panel(name).classes("q-pa-none q-pt-sm"):
            return ui.column().classes("full-width gap-md no-wrap")

    async def _on_tab(self) -> None:
        """Views are built when they are looked at for the first time."""
        name = str(self._tabs.value)
        self._tell(name)
        if name in self._built:
            return
        self._built.add(name)
        with self._panels[name]:
            if name == TABS[0]:
                DatasetOverview(self._visit, dataset_catalog(self._visit.studio), self._number, self._frames)
            elif name == TABS[1]:
                DatasetBrowser(self._visit, self._frames, self._base, self._label)
            elif name == TABS[2]:
                DatasetDuplicates(self._frames, self._base)
            else:
                self._labelling = DatasetLabelling(
                    self._visit, self._frames, self._base, self._frame, self._moved
                )
                await self._labelling.open()

    async def _label_now(self, index: int) -> None:
        if self._labelling is not None:
            await self._labelling.show(index)

    def _label(self, index: int) -> None:
        self._frame = index
        self._tabs.value = TABS[3]
        ui.timer(0.0, lambda: self._label_now(index), once=True)

    def _moved(self, index: int) -> None:
        self._frame = index
        self._tell(TABS[3])

    def _tell(self, tab: str) -> None:
        """The address says what is shown, so that a page that is loaded again shows it too."""
        found = {"dataset": self._number, "tab": tab, **({"frame": self._frame} if tab == TABS[3] else {})}
        ui.navigate.history.replace(f"/dataset?{urlencode(found)}")


def whole_number(text: str, otherwise: int) -> int:
    """A number from an address; ``otherwise`` for what is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else otherwise


async def build(visit: Visit) -> None:
    """Builds the page for one visitor."""
    ui.add_css(gaps.CSS + box_editor.CSS + frame_grid.CSS + dataset_labelling.CSS + dataset_overview.CSS)
    with ui.expansion("What is this?", icon="help_outline").classes("full-width"):
        ui.markdown(_ABOUT)
    catalog = dataset_catalog(visit.studio)
    if not catalog.folders:
        ui.markdown(_EMPTY)
        return
    number = whole_number(ui.context.client.request.query_params.get("dataset", "0"), -1)
    if len(catalog.folders) > 1:
        names = {place: str(folder) for place, folder in enumerate(catalog.folders)}
        ui.select(
            names, value=number if number in names else None, label="dataset",
            on_change=lambda event: ui.navigate.to(f"/dataset?dataset={event.value}"),
        ).props("dense outlined").style("min-width: 16rem; max-width: 100%")  # fmt: skip
    # The process that reads may have to start first, and a page must be there at once.
    with ui.row().classes("items-center gap-sm q-pa-md") as waiting:
        ui.spinner(size="sm")
        ui.label("Reading the dataset").props("role=status")
    box = ui.column().classes("full-width no-wrap gap-none")

    async def show() -> None:
        try:
            frames = await catalog.frames(number)
        except PerceptionError as error:
            with box:
                show_problem(str(error))
            return
        finally:
            waiting.set_visibility(False)
        with box:
            if len(frames):
                await DatasetView(visit, number, frames).open()
            else:
                show_problem("This dataset has no frames; extract with milder filters.")

    ui.timer(0.0, show, once=True)


def routes(router: APIRouter, studio: Studio) -> None:
    """Images of frames, by the numbers of the dataset and the frame."""
    router.add_route(IMAGE_PATH, FrameImages(frames_getter(studio)).respond, methods=["GET"])


PAGE = StudioPage(
    path="/dataset",
    title="Dataset",
    icon="photo_library",
    summary="What was kept of your recordings and why; label a few boxes.",
    build=build,
    routes=routes,
)
