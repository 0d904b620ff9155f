"""What a dataset kept and left out and why; its timeline, plan, parts and measures."""

from __future__ import annotations

import asyncio
from typing import Any

from nicegui import ui

from perception_contrast.core.errors import PerceptionError
from perception_contrast_studio.components.dataset.dataset_catalog import DatasetCatalog
from perception_contrast_studio.components.dataset.dataset_charts import (
    histogram_options,
    plan_options,
    timeline_height,
    timeline_options,
)
from perception_contrast_studio.components.dataset.dataset_frames import NO_PART, DatasetFrames, LeftOutFrames
from perception_contrast_studio.server.studio_page import Visit

REASONS = {
    "too_soon": ("sooner after the last kept frame than --every says", "every"),
    "badly_exposed": ("too much of it is black or white", "max_clipped"),
    "blurred": ("less sharp than --min-sharpness", "min_sharpness"),
    "unchanged": ("hardly different from the last kept frame, and the camera stood still", "min_change"),
    "seen_before": ("too similar to a frame that was kept before", "max_similarity"),
    "anonymise": ("the function that makes images anonymous failed on it", "anonymise"),
}
_NO_FATE = ("read", "kept")


def fates(counts: dict[str, int]) -> list[tuple[str, int, str]]:
    """(name, count, meaning) of the reasons for which frames were left out, the most frequent first."""
    rows = [
        (name, count, REASONS.get(name, ("the image or its data could not be read", ""))[0])
        for name, count in counts.items()
        if name not in _NO_FATE and not name.startswith("depth_")
    ]
    return sorted(rows, key=lambda row: -row[1])


class DatasetOverview:
    """The first view of a dataset.

    Args:
        visit: Of the visitor.
        catalog: Of the datasets.
        number: Of the dataset.
        frames: What is known of it.
    """

    def __init__(self, visit: Visit, catalog: DatasetCatalog, number: int, frames: DatasetFrames) -> None:
        self._visit, self._catalog, self._number, self._frames = visit, catalog, number, frames
        self._work: asyncio.Task[None] | None = None
        self._urls: list[str] = []
        visit.on_leave(self._cancel)
        _counts_card(frames)
        if frames.extracted:
            self._left_out_card()
        self._timeline_box = ui.column().classes("full-width")
        self._draw_timeline(catalog.known_left_out(number))
        with ui.element("div").classes("dataset-charts full-width"):
            _plan_card(frames)
            _measure_cards(frames)

    def _draw_timeline(self, left_out: LeftOutFrames | None) -> None:
        self._timeline_box.clear()
        options = timeline_options(self._frames, left_out)
        if options is None:
            return
        with self._timeline_box, ui.card().classes("full-width q-pa-sm"):
            _title("Timeline", 2)
            ui.echart(options).classes("full-width").style(f"height: {timeline_height(self._frames)}px")

    def _left_out_card(self) -> None:
        with ui.card().classes("full-width q-pa-md"):
            _title("Left out, and why", 2)
            counts = self._frames.counts()
            rows = fates(counts)
            if not counts:
                ui.label("The counts come when a recording is done.")
            elif not rows:
                ui.label("Nothing was left out.")
            for name, count, meaning in rows:
                _fate_row(name, count, counts.get("read", count), meaning, self._frames.options)
            if not rows:
                return
            with ui.row().classes("items-center gap-sm"):
                self._look = ui.button("Show examples", icon="image_search", on_click=self._start)
                self._look.props("outline no-caps")
                self._stop = ui.button("Cancel", on_click=self._cancel).props("flat no-caps")
                self._bar = ui.linear_progress(0.0, show_value=False).style("width: 12rem")
                self._bar.props('aria-label="progress of the search"')
                self._text = ui.label("Looks through the recordings again.").props("role=status")
            self._examples = ui.column().classes("full-width")
            self._set_working(False)
        known = self._catalog.known_left_out(self._number)
        if known is not None:
            self._draw_examples(known)

    def _set_working(self, working: bool) -> None:
        self._look.set_enabled(not working)
        for one in (self._stop, self._bar):
            one.set_visibility(working)

    def _start(self) -> None:
        if self._work is None:
            self._work = asyncio.create_task(self._search())

    def _cancel(self) -> None:
        if self._work is not None:
            self._work.cancel()

    def _progress(self, fraction: float, text: str) -> None:
        self._bar.value, self._text.text = fraction, text

    async def _search(self) -> None:
        self._set_working(True)
        try:
            found = await self._catalog.left_out(self._number, self._progress)
            self._text.text = f"{len(found.stamps)} frames were left out."
            self._draw_examples(found)
            self._draw_timeline(found)
        except asyncio.CancelledError:
            self._text.text = "cancelled"
        except PerceptionError as error:
            self._text.text = str(error)
        finally:
            self._work = None
            self._set_working(False)

    def _draw_examples(self, found: LeftOutFrames) -> None:
        for url in self._urls:
            self._visit.studio.blobs.remove(url)
        self._urls.clear()
        self._examples.clear()
        with self._examples:
            for name, reason in found.failed.items():
                ui.label(f"{name} could not be looked at: {reason}").classes("studio-wrap")
            for fate in found.reasons:
                pictures = found.examples.get(fate, [])
                if not pictures:
                    continue
                ui.label(f"{fate}: examples").classes("text-subtitle2")
                with ui.row().classes("gap-sm"):
                    for stamp, lane, picture in pictures:
                        self._urls.append(self._visit.publish(picture, "image/jpeg"))
                        image = ui.element("img").props(f'src="{self._urls[-1]}" width=160')
                        image.props["alt"] = f"left out as {fate}, {lane} at {stamp / 1e9:.2f} s"
                        image.tooltip(f"{lane}, {stamp / 1e9:.2f} s")


def _title(text: str, level: int) -> None:
    ui.label(text).classes("text-h6" if level == 2 else "text-subtitle1").props(
        f"role=heading aria-level={level}"
    )


def _counts_card(frames: DatasetFrames) -> None:
    with ui.card().classes("full-width q-pa-md"):
        if not frames.finished:
            with ui.row().classes("items-center no-wrap"):
                ui.icon("hourglass_top", color="warning", size="sm").props("aria-hidden=true")
                ui.label(
                    "The extraction is not finished: these are the frames of its finished shards. The same "
                    "`perception-contrast data extract` command goes on with it."
                ).classes("studio-wrap")
        with ui.row().classes("gap-xl"):
            for name, value in _facts(frames):
                with ui.column().classes("gap-none"):
                    ui.label(name).classes("text-caption")
                    ui.label(value).classes("text-h6").props(f'data-figure="{name}"')
        lost = [note for result in frames.results for note in result.get("lost", [])]
        if lost:
            with ui.expansion(f"{len(lost)} damaged places in the recordings", icon="report"):
                for note in lost[:50]:
                    ui.label(str(note)).classes("studio-wrap")


def _facts(frames: DatasetFrames) -> list[tuple[str, str]]:
    counts = frames.counts()
    found = [("frames", str(len(frames)))]
    if counts.get("read"):
        found += [
            ("looked at", str(counts["read"])),
            ("left out", str(counts["read"] - counts.get("kept", 0))),
        ]
    if "dedup" in frames.facts:
        found.append(("near-duplicates", str(int(frames.duplicates.sum()))))
    for number, name in enumerate(frames.part_names):
        found.append((f"part {name}", str(int((frames.parts == number).sum()))))
    if frames.part_names and (frames.parts == NO_PART).any():
        found.append(("without a part", str(int((frames.parts == NO_PART).sum()))))
    found.append(("with a pose", str(int((frames.positions[:, 0] == frames.positions[:, 0]).sum()))))
    return found if frames.extracted else found[:-1]


def _fate_row(name: str, count: int, of: int, meaning: str, options: dict[str, Any]) -> None:
    key = REASONS.get(name, ("", ""))[1]
    value = options.get(key)
    hint = f" (--{key.replace('_', '-')} {value})" if key and value not in (None, "none") else ""
    with ui.row().classes("items-center full-width no-wrap gap-sm"):
        ui.label(name).classes("text-weight-medium").style("width: 8.5rem; flex: none")
        ui.label(str(count)).style("width: 4rem; flex: none; text-align: right")
        ui.linear_progress(count / max(1, of), show_value=False).style("width: 8rem; flex: none").props(
            f'aria-label="share that was left out as {name}"'
        )
        ui.label(f"{meaning}{hint}").classes("studio-wrap text-body2")


def _plan_card(frames: DatasetFrames) -> None:
    options = plan_options(frames)
    if options is None:
        return
    with ui.card().classes("full-width q-pa-sm"):
        _title("Where the camera was", 3)
        ui.echart(options).classes("full-width").style("height: 320px")


def _measure_cards(frames: DatasetFrames) -> None:
    for name, title, option, logarithmic in (
        ("sharpness", "sharpness: variance of the Laplacian", "min_sharpness", True),
        ("brightness", "brightness: mean grey, 0 to 255", "", False),
        ("similarity", "similarity to frames kept before", "max_similarity", False),
    ):
        if name not in frames.measures:
            continue
        limit = frames.options.get(option)
        options = histogram_options(
            frames.measures[name], title, float(limit) if limit else None, logarithmic=logarithmic
        )
        if options is not None:
            with ui.card().classes("full-width q-pa-sm"):
                _title(f"{name.capitalize()}{f', limit {limit:g}' if limit else ''}", 3)
                ui.echart(options).classes("full-width").style("height: 240px")


CSS = """
.dataset-charts { display: grid; gap: 12px;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 420px), 1fr)); }
"""
