"""Choosing the frame that encoders are compared on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nicegui import events, ui

from perception_contrast_studio.components.encoders.encoder_session import (
    DATASET,
    EXAMPLE,
    IMAGE,
    EncoderSession,
)
from perception_contrast_studio.components.shared.latest import Latest
from perception_contrast_studio.components.shared.robot_frame_button import RobotFrameButton

MOST_UPLOAD = 20 * 1024 * 1024


class FrameChoice:
    """A dataset's frames, a rendered room's, the camera's newest one, or a file's."""

    def __init__(self, session: EncoderSession) -> None:
        self._session = session
        self._wanted: dict[str, Any] = {}
        self._latest = Latest(self._show_now, _tell)
        session.visit.on_leave(self._latest.close)
        options = {path: Path(path).name for path in session.datasets} | {"": "Rendered room (example)"}
        self.dataset = session.datasets[0] if session.datasets else ""
        with ui.element("div").classes("row full-width q-col-gutter-md items-center"):
            self._select = ui.select(
                options, value=self.dataset, label="Frames of", on_change=lambda e: self._open(e.value, 0)
            ).classes("col-12 col-md-3")
            with ui.row().classes("col-12 col-md-5 items-center no-wrap"):
                ui.button(icon="chevron_left", on_click=lambda: self._step(-1)).props(
                    'flat round dense aria-label="Previous frame"'
                )
                self._slider = (
                    ui.slider(min=0, max=1, value=0, step=1).props('aria-label="Frame"').classes("col")
                )
                self._slider.on("change", lambda e: self._open(self.dataset, int(self._slider.value)))
                ui.button(icon="chevron_right", on_click=lambda: self._step(1)).props(
                    'flat round dense aria-label="Next frame"'
                )
            with ui.row().classes("col-12 col-md-4 items-center"):
                if (robot := session.visit.studio.robot) is not None:
                    camera = RobotFrameButton(robot, "Camera", "videocam", self._image, _tell)
                    camera.button.props("outline dense")
                upload = ui.upload(
                    label="A picture of yours", auto_upload=True, max_file_size=MOST_UPLOAD, max_files=1,
                    on_upload=self._upload, on_rejected=_tell_limit,
                )  # fmt: skip
                upload.props("accept=image/* flat dense").style("display: none")
                ui.button("Upload", icon="upload", on_click=lambda: upload.run_method("pickFiles")).props(
                    "outline dense"
                ).tooltip("JPEG, PNG, WebP, BMP or TIFF of 20 MB at most; it is not kept")
                self._uploads = upload
        self._note = ui.label().classes("text-caption studio-wrap").props("role=status")

    async def load(self) -> None:
        """Opens the first frame."""
        for path in self._session.datasets:
            facts = await self._session.run("datasets.frame_sources:dataset_facts", path=path)
            if facts is not None:
                self._session.facts[path] = facts
        first = next((path for path in self._session.datasets if path in self._session.facts), "")
        self._select.set_value(first)
        await self._open(first, 0)

    async def _step(self, by: int) -> None:
        count = self._session.frames(self.dataset)
        await self._open(self.dataset, (int(self._slider.value) + by) % count)

    async def _open(self, dataset: str, index: int) -> None:
        if dataset and dataset not in self._session.facts:
            return
        self.dataset = dataset
        last = self._session.frames(dataset) - 1
        index = min(max(index, 0), last)
        self._slider.props(f"max={last}")
        self._slider.set_value(index)
        kind = DATASET if dataset else EXAMPLE
        await self._show({"kind": kind, "path": dataset, "index": index})

    async def _image(self, data: bytes, name: str) -> None:
        await self._show({"kind": IMAGE, "data": data, "name": name})

    async def _upload(self, event: events.UploadEventArguments) -> None:
        data = await event.file.read()
        self._uploads.reset()
        await self._image(data, event.file.name)

    async def _show(self, source: dict[str, Any]) -> None:
        self._wanted = source
        self._latest.request()

    async def _show_now(self) -> None:
        source = self._wanted
        opened = await self._session.run("datasets.frame_sources:open_frame", source=source)
        if opened is None or self._session.gone:
            return
        self._session.source = opened["source"]
        self._session.image = self._session.publish(opened["jpeg"], "image/jpeg", self._session.image)
        size = f"{opened['width']} x {opened['height']}"
        number = (
            f"frame {source['index'] + 1} of {self._session.frames(self.dataset)}: "
            if "index" in source
            else ""
        )
        self._note.set_text(f"{number}{opened['name']} ({size} pixels)")
        await self._session.changed()


def _tell_limit() -> None:
    ui.notify("One picture of 20 MB at most.", type="warning")


def _tell(text: str) -> None:
    if text:
        ui.notify(text, type="warning", multi_line=True)
