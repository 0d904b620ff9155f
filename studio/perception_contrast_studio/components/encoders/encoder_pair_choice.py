"""Choosing two encoders; fetching weights that are not here."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from nicegui import ui

from perception_contrast_studio.components.encoders.encoder_session import EncoderSession
from perception_contrast_studio.components.shared.progress_line import ProgressLine
from perception_contrast_studio.workers.worker_pool import Progress

DEFAULTS = (("dinov2-s14",), ("clip-vit-b16", "siglip-b16", "household-lit"))
SIZES = {224: "224 px: quick", 336: "336 px", 448: "448 px: finer", 560: "560 px: slow"}


class EncoderPairChoice:
    """Two lists of encoders and the size of their input."""

    def __init__(self, session: EncoderSession) -> None:
        self._session = session
        self._entries: dict[str, dict[str, Any]] = {}
        self._missing = ["", ""]
        with ui.element("div").classes("row full-width q-col-gutter-md items-start"):
            self._selects: list[ui.select] = []
            self._notes: list[ui.label] = []
            self._fetches: list[ui.button] = []
            for number, side in enumerate(("First", "Second")):
                with ui.column().classes("col-12 col-md-5 gap-less"):
                    self._add_select(number, side)
            size = ui.select(
                SIZES, value=session.short_side, label="Input size", on_change=lambda e: self._resize(e.value)
            )
            size.classes("col-12 col-md-2")
        self.progress = ProgressLine()

    def _add_select(self, number: int, side: str) -> None:
        select = ui.select({}, label=f"{side} encoder", with_input=True).classes("full-width")
        select.on_value_change(lambda event: self._choose(number, event.value))
        self._selects.append(select)
        self._notes.append(ui.label().classes("text-caption studio-wrap"))
        button = ui.button(
            "Fetch its weights",
            icon="download",
            on_click=self._session.visit.changes(lambda: self._fetch(number)),
        ).props("outline dense")
        button.set_visibility(False)
        self._fetches.append(button)

    async def load(self) -> None:
        """Fills the lists and chooses two encoders whose weights are here."""
        folders = [str(path) for path in self._session.visit.studio.folders.runs]
        found = await self._session.run("encoders.encoder_models:list_encoders", folders=folders)
        if found is None or self._session.gone:
            return
        self._entries = {one["name"]: one for one in found}
        self._session.titles = {one["name"]: one["title"] for one in found}
        options = {name: _option(one) for name, one in self._entries.items()}
        here = [name for name, one in self._entries.items() if one["here"]]
        chosen: list[str] = list(self._session.encoders)
        for wished in DEFAULTS[len(chosen) :]:
            left = [name for name in (*wished, *here) if name in here and name not in chosen]
            chosen += left[:1] or here[:1]
        self._session.encoders = chosen
        for select, name in zip(self._selects, chosen, strict=False):
            select.set_options(options, value=name)

    async def _choose(self, number: int, name: str | None) -> None:
        entry = self._entries.get(name or "")
        if entry is None:
            return
        self._tell(number, entry)
        if entry["here"] and self._session.encoders[number] != name:
            self._session.encoders[number] = entry["name"]
            await self._session.changed()

    def _tell(self, number: int, entry: dict[str, Any]) -> None:
        words = "knows words" if entry["words"] else "images alone"
        text = f"{entry['description']}; {words}; licence {entry['licence']}"
        if not entry["here"]:
            text = f"Not on this machine: {text}. {entry['warning']}"
        self._notes[number].set_text(text)
        self._fetches[number].set_visibility(not entry["here"])
        self._missing[number] = "" if entry["here"] else entry["name"]

    async def _fetch(self, number: int) -> None:
        name = self._missing[number]

        def work(told: Progress) -> Awaitable[bool]:
            return self._fetched(name, told)

        if not await self.progress.run(f"fetching {name}", work) or self._session.gone:
            return
        self._entries[name]["here"] = True
        options = {key: _option(one) for key, one in self._entries.items()}
        for select in self._selects:
            select.set_options(options, value=select.value)
        await self._choose(number, name)

    async def _fetched(self, name: str, told: Progress) -> bool:
        workers = self._session.visit.studio.workers
        await workers.run(
            "encoders.encoder_models:fetch_encoder", lane="encoder_models", on_progress=told, name=name
        )
        return True

    async def _resize(self, value: int) -> None:
        self._session.short_side = value if value in SIZES else self._session.short_side
        await self._session.changed()


def _option(entry: dict[str, Any]) -> str:
    return str(entry["title"]) + ("" if entry["here"] else " (needs a download)")
