"""Boxes on a dataset's frames, drawn by hand and saved at once as a COCO file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nicegui import events, ui
from nicegui import run as threads

from perception_contrast.core.errors import PerceptionError
from perception_contrast_studio.components.dataset.box_editor import BoxEditor
from perception_contrast_studio.components.dataset.coco_file import CocoFile, LabelledBox
from perception_contrast_studio.components.dataset.dataset_boxes import (
    boxes_for_browser,
    boxes_from_browser,
    coco_files,
    commands,
    image_name,
    open_boxes,
    save_boxes,
)
from perception_contrast_studio.components.dataset.dataset_frames import DatasetFrames
from perception_contrast_studio.components.dataset.dataset_images import frame_image, frame_size
from perception_contrast_studio.server.studio_page import Studio, Visit

_HELP = """
Draw a box around each thing: drag on the image (with Shift inside another box). Take a box by its edge or
corner to resize it, by its inside to move it. Two fingers zoom, and so does the wheel once the image has the
focus. Each change is saved at once.

| key | |
|---|---|
| `1` ... `9` | give the label to the chosen box, and use it for the next ones |
| `N` | a box in the middle, without a mouse |
| arrows, with Shift ten pixels, with Alt the size | move the chosen box |
| `,` `.` | choose a box, `Delete` deletes it, `Ctrl+Z` and `Ctrl+Y` undo and redo |
| `Page up` `Page down` | the frame before and after; `+` `-` `0` zoom |

Measuring takes a frame in the file for labelled whole: what has no box counts as not there. So draw *all*
things of your labels in a frame, or leave the frame out. "Nothing here" notes that it shows none of them.
"""


def opened_file(studio: Studio, frames: DatasetFrames, path: Path) -> CocoFile:
    """The one object for a file, whoever looks at it. Raises CocoFileError."""
    known: dict[Path, CocoFile] = studio.notes.setdefault("coco_files", {})
    if path not in known:
        known[path] = open_boxes(frames, path)
    return known[path]


class DatasetLabelling:
    """The labelling view.

    Args:
        visit: Whose rights decide.
        frames: Of the dataset.
        base: URL of its images.
        start: Frame to begin with.
        moved: Called with the number of the frame that is shown.
    """

    def __init__(
        self, visit: Visit, frames: DatasetFrames, base: str, start: int, moved: Callable[[int], None]
    ) -> None:
        self._visit, self._frames, self._base, self._moved = visit, frames, base, moved
        self._index = min(max(0, start), len(frames) - 1)
        self._numbers = {key: number for number, key in enumerate(frames.keys)}
        self._file: CocoFile | None = None
        self._boxes: list[LabelledBox] = []
        self._chosen = -1
        self._paths: list[Path] = []
        with ui.expansion("How to label", icon="help_outline").classes("full-width"):
            ui.markdown(_HELP)
        with ui.row().classes("gap-sm items-center full-width"):
            self._files = ui.select({}, label="saved in", on_change=self._choose_file)
            self._files.props("dense outlined options-dense").style("min-width: 14rem; max-width: 100%")
            self._button("Previous", "chevron_left", lambda: self._step(-1))
            self._number = ui.number("frame", value=self._index + 1, min=1, max=len(frames), precision=0)
            self._number.props("dense outlined").style("width: 7rem").on("change", self._jump)
            self._button("Next", "chevron_right", lambda: self._step(1))
            self._button("Next with boxes", "skip_next", self._next_labelled)
            self._nothing = ui.button("Nothing here", on_click=visit.changes(self._note_nothing))
            self._nothing.props("outline no-caps")
            self._exemplar = ui.button(
                "Use as exemplar", icon="my_location", on_click=visit.changes(self._send)
            )
            self._exemplar.props("outline no-caps")
        self._said = ui.label().props("role=status").classes("studio-wrap")
        self._editor = BoxEditor(readonly=not visit.rights.change)
        self._editor.on("change", visit.changes(self._changed))
        self._editor.on("step", lambda event: self._step(int(event.args)))
        self._editor.on("select", self._on_select)
        self._editor.on("refused", visit.changes(lambda: None))
        self._use = ui.column().classes("full-width")
        self._exemplar.set_enabled(False)
        self._exemplar.set_visibility(visit.studio.robot is not None)

    def _button(self, text: str, icon: str, act: Callable[[], Any]) -> None:
        button = ui.button(icon=icon, on_click=act).props(f'outline dense aria-label="{text}"')
        button.tooltip(text)

    async def open(self) -> None:
        """Finds the files and shows the first frame."""
        self._paths = await threads.io_bound(coco_files, self._frames) or []
        names = {
            number: str(path.relative_to(self._frames.folder)) for number, path in enumerate(self._paths)
        }
        self._files.set_options(names, value=0)
        await self._open_file(0)

    async def _choose_file(self, event: events.ValueChangeEventArguments[Any]) -> None:
        number = event.value
        if isinstance(number, int) and 0 <= number < len(self._paths):
            await self._open_file(number)

    async def _open_file(self, number: int) -> None:
        path = self._paths[number]
        try:
            self._file = await threads.io_bound(opened_file, self._visit.studio, self._frames, path)
        except PerceptionError as error:
            self._said.text = str(error)
            return
        self._use.clear()
        with self._use, ui.expansion("What to do with the file", icon="terminal").classes("full-width"):
            for purpose, line in commands(self._frames, path).items():
                ui.label(purpose).classes("text-subtitle2")
                ui.label(line).classes("dataset-command studio-wrap")
        await self.show(self._index)

    async def show(self, index: int) -> None:
        """Another frame."""
        file = self._file
        if file is None:
            return
        self._index = min(max(0, index), len(self._frames) - 1)
        frames, name = self._frames, image_name(self._frames, self._index)
        try:
            size = await threads.io_bound(frame_size, frames, self._index)
            self._boxes = await threads.io_bound(file.boxes, name) or []
            await self._show_labels()
        except PerceptionError as error:
            self._said.text = str(error)
            return
        if size is None:
            return
        self._chosen = -1
        self._exemplar.set_enabled(False)
        self._number.value = self._index + 1
        source = f"{self._base}/{self._index}/image"
        self._editor.show(frames.keys[self._index], source, size, boxes_for_browser(self._boxes))
        self._moved(self._index)

    async def _show_labels(self) -> None:
        assert self._file is not None
        self._editor.set_labels(await threads.io_bound(self._file.labels) or [])
        counts = await threads.io_bound(self._file.labelled) or {}
        self._said.text = (
            f"{_counted(sum(counts.values()), 'box', 'boxes')} in {_counted(len(counts), 'frame')}."
        )
        if not self._visit.rights.change:
            self._said.text += " You may look only: log in with the token to draw."

    async def _step(self, step: int) -> None:
        await self.show(self._index + step)

    async def _jump(self) -> None:
        value = self._number.value
        await self.show(int(value) - 1 if value is not None else self._index)

    async def _next_labelled(self) -> None:
        if self._file is None:
            return
        counts = await threads.io_bound(self._file.labelled) or {}
        with_boxes = [number for number, name in enumerate(self._frames.files) if name in counts]
        if not with_boxes:
            ui.notify("No frame has boxes yet.")
            return
        await self.show(next((one for one in with_boxes if one > self._index), with_boxes[0]))

    async def _changed(self, event: events.GenericEventArguments) -> None:
        """Saves what the editor sent; the key says which frame it is of."""
        number = self._numbers.get(str(event.args.get("key", "")))
        if number is None:
            return
        try:
            boxes = boxes_from_browser(event.args.get("boxes"))
        except PerceptionError as error:
            ui.notify(str(error), type="negative")
            return
        await self._save(number, boxes)

    async def _note_nothing(self) -> None:
        if any(not box.locked for box in self._boxes):
            ui.notify("This frame has boxes; delete them first.", type="warning")
            return
        await self._save(self._index, self._boxes, keep_empty=True)
        await self._step(1)

    async def _save(self, number: int, boxes: Sequence[LabelledBox], *, keep_empty: bool = False) -> None:
        file = self._file
        if file is None:
            return

        def save() -> list[LabelledBox]:
            save_boxes(file, self._frames, number, boxes, keep_empty=keep_empty)
            return file.boxes(image_name(self._frames, number))

        try:
            saved = await threads.io_bound(save) or []
        except PerceptionError as error:
            ui.notify(f"Not saved: {error}", type="negative", multi_line=True, timeout=10000)
            self._said.text = f"Not saved: {error}"
            return
        if number == self._index:
            self._boxes = saved
            # New boxes have ids now, by which the file knows them from here on.
            self._editor.run_method("settle", self._frames.keys[number], boxes_for_browser(saved))
        await self._show_labels()
        self._said.text = f"Saved. {self._said.text}"

    def _on_select(self, event: events.GenericEventArguments) -> None:
        self._chosen = int(event.args.get("index", -1))
        self._exemplar.set_enabled(self._chosen >= 0)

    async def _send(self) -> None:
        """Shows the chosen box to the running node."""
        robot = self._visit.studio.robot
        if robot is None or not 0 <= self._chosen < len(self._boxes):
            ui.notify("Choose a box first.", type="warning")
            return
        box = self._boxes[self._chosen]
        try:
            image = await threads.io_bound(frame_image, self._frames, self._index)
            client = await robot.connected()
            await client.start.add_exemplar(box.label, box.corners, None, image)
        except PerceptionError as error:
            ui.notify(f"The node did not take it: {error}", type="warning", multi_line=True)
            return
        ui.notify(f"The node looks for things like this '{box.label}' now.", type="positive")


def _counted(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"


CSS = """
.dataset-command { font-family: monospace; background: rgba(128,128,128,.15); padding: 6px 10px;
  border-radius: 6px; width: 100%; }
"""
