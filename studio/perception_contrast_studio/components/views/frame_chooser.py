"""Chooses one image: of a dataset, an example, a file of the visitor's own, or the robot's camera."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nicegui import events, ui

from perception_contrast.core.errors import PerceptionError
from perception_contrast_studio.components.shared.robot_frame_button import RobotFrameButton
from perception_contrast_studio.server.studio_page import Visit

EXAMPLE, UPLOAD, ROBOT = "example", "upload", "robot"
EXAMPLE_FILE = Path(__file__).parents[2] / "data" / "example_room.jpg"
MOST_BYTES = 16 * 1024 * 1024


class FrameChooser:
    """The controls, and what they chose as ``tasks.datasets.image_sources.chosen_image`` takes it.

    Args:
        visit: The visitor's view.
        on_change: Called after each choice.
    """

    def __init__(self, visit: Visit, on_change: Callable[[], Any]) -> None:
        self._visit, self._on_change = visit, on_change
        self.source: dict[str, Any] = {}
        self._counts: dict[str, int] = {}
        options = {str(path): f"dataset {path.name}" for path in visit.studio.folders.datasets}
        options |= {EXAMPLE: "example: a rendered room", UPLOAD: "an image of your own"}
        if visit.studio.robot is not None:
            options[ROBOT] = "the robot's camera"
        self.kind = ui.select(options, label="Image", value=next(iter(options)), on_change=self._choose)
        self.kind.classes("full-width").props("dense outlined")
        with ui.row().classes("items-center no-wrap full-width") as self._frames:
            ui.button(icon="chevron_left", on_click=lambda: self._step(-1)).props(
                'flat dense round aria-label="Previous frame"'
            )
            self._slider = ui.slider(min=0, max=1, step=1, value=0, on_change=self._frame)
            self._slider.classes("col").props('aria-label="Frame of the dataset"')
            ui.button(icon="chevron_right", on_click=lambda: self._step(1)).props(
                'flat dense round aria-label="Next frame"'
            )
        self._said = ui.label().classes("text-caption studio-wrap")
        self._upload = ui.upload(
            label="JPEG, PNG, WebP, BMP or TIFF, 16 MB at most",
            max_file_size=MOST_BYTES,
            max_files=1,
            auto_upload=True,
            on_upload=self._uploaded,
            on_rejected=lambda: ui.notify("The file is larger than 16 MB, or a second one.", type="warning"),
        ).classes("full-width")
        self._upload.props("flat bordered accept=image/*")
        self._camera: RobotFrameButton | None = None
        if visit.studio.robot is not None:
            self._camera = RobotFrameButton(
                visit.studio.robot,
                "Take the newest frame",
                "photo_camera",
                self._take_file,
                self._said.set_text,
            )

    async def _choose(self) -> None:
        """Shows what belongs to the kind of image, and takes the first one."""
        kind = str(self.kind.value)
        is_dataset = kind not in (EXAMPLE, UPLOAD, ROBOT)
        self._frames.set_visibility(is_dataset)
        self._upload.set_visibility(kind == UPLOAD)
        if self._camera is not None:
            self._camera.button.set_visibility(kind == ROBOT)
        self._said.set_text("")
        if kind == EXAMPLE:
            data = await asyncio.to_thread(EXAMPLE_FILE.read_bytes)
            self._take({"data": data, "name": EXAMPLE_FILE.name})
        elif kind == ROBOT and self._camera is not None:
            await self._camera.take()
        elif is_dataset:
            await self._open(kind)

    start = _choose

    async def _open(self, path: str) -> None:
        try:
            checked = str(self._visit.studio.folders.checked(path))
            if path not in self._counts:
                about = await asyncio.shield(
                    self._visit.studio.workers.run(
                        "datasets.image_sources:describe", lane="augmentations", path=checked
                    )
                )
                self._counts[path] = about["count"]
        except PerceptionError as error:
            self._said.set_text(str(error))
            return
        self._slider.props(f"max={self._counts[path] - 1}")
        self._slider.set_value(0)
        self._take_frame()

    def _step(self, by: int) -> None:
        last = self._counts.get(str(self.kind.value), 1) - 1
        self._slider.set_value(min(last, max(0, int(self._slider.value or 0) + by)))

    def _frame(self) -> None:
        if str(self.kind.value) in self._counts:
            self._take_frame()

    def _take_frame(self) -> None:
        path, index = str(self.kind.value), int(self._slider.value or 0)
        self._said.set_text(f"frame {index + 1} of {self._counts[path]}")
        self._take({"path": path, "index": index})

    async def _uploaded(self, event: events.UploadEventArguments) -> None:
        data = await event.file.read()
        self._upload.reset()
        self._take_file(data, event.file.name)

    def _take_file(self, data: bytes, name: str) -> None:
        self._said.set_text(f"{name}, {len(data) / 1024:.0f} kB")
        self._take({"data": data, "name": name})

    def _take(self, source: dict[str, Any]) -> None:
        if source != self.source:
            self.source = source
            self._on_change()
