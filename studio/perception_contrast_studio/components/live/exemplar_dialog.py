"""Asks what a thing that was shown is called, and shows it to the robot."""

from __future__ import annotations

import asyncio
from typing import Any

from nicegui import ui

from perception_contrast.core.errors import PerceptionError
from perception_contrast_studio.components.live.live_view import LiveView
from perception_contrast_studio.components.shared.confirm_dialog import discard
from perception_contrast_studio.robot.frame_hub import FrameHub
from perception_contrast_studio.robot.live_camera import LiveCamera

NEW_NAME = "my thing"


class ExemplarDialog:
    """Takes an example that was chosen in the image.

    Args:
        hub: What visitors share.
        view: Where it was chosen.
    """

    def __init__(self, hub: FrameHub, view: LiveView) -> None:
        self._hub, self._view = hub, view
        self._chosen: dict[str, Any] | None = None

    async def ask(self, chosen: dict[str, Any], camera: LiveCamera) -> None:
        """Asks for the label and adds the exemplar; while it asks, another choice replaces the first.

        Args:
            chosen: "stamp" of the frame, "box" x0, y0, x1, y1 in its pixels or None, "point" or None.
            camera: Of the frame.
        """
        asking, self._chosen = self._chosen is not None, chosen
        if asking:
            return
        try:
            answer = await self._question(self._labels())
            if answer is not None:
                await self._add(self._chosen, camera, *answer)
        finally:
            self._chosen = None
            self._view.dismiss()

    def _labels(self) -> list[str]:
        known = self._hub.vocabulary.known if self._hub.vocabulary else None
        return [one.label for one in known.queries] if known else []

    async def _question(self, labels: list[str]) -> tuple[str, bool] | None:
        """The label, and whether it is what the label is not."""
        with ui.dialog().props("seamless position=bottom") as dialog, ui.card().classes("live-dialog"):
            ui.label("Show an example").classes("text-h6")
            ui.label(
                "What the dashed box holds becomes an example. Cells that look like it are bright, others "
                "dark. Click or drag again to choose otherwise."
            ).classes("text-caption")
            label = ui.input("What is it called?", value=_free_name(labels), autocomplete=labels)
            label.classes("full-width").props("autofocus data-testid=example-label")
            against = ui.checkbox("It is not this (a negative example)")
            against.set_visibility(bool(labels))
            with ui.row().classes("justify-end full-width"):
                ui.button("Cancel", on_click=lambda: dialog.submit(None)).props("flat")
                ui.button("Add example", on_click=lambda: dialog.submit(True))
            label.on("keydown.enter", lambda: dialog.submit(True))
        try:
            if not await dialog or not str(label.value or "").strip():
                return None
            return str(label.value).strip(), bool(against.value)
        finally:
            discard(dialog)

    async def _add(self, chosen: dict[str, Any], camera: LiveCamera, label: str, negative: bool) -> None:
        try:
            where = await asyncio.to_thread(_place, chosen, camera)
            await camera.client.start.add_exemplar(label, negative=negative, **where)
        except PerceptionError as error:
            ui.notify(str(error), type="warning", multi_line=True)
            return
        ui.notify(f"'{label}' was shown.", type="positive")
        if self._hub.vocabulary is not None:
            await self._hub.vocabulary.refresh()


def _place(chosen: dict[str, Any], camera: LiveCamera) -> dict[str, Any]:
    """The arguments of ``add_exemplar``: the frame that was seen, where it is still there."""
    frame = camera.frame_of(int(chosen.get("stamp") or 0))
    box, point = chosen.get("box"), chosen.get("point")
    if box is None and point is not None:
        return {"point": (float(point[0]), float(point[1]))}
    if box is None:
        raise PerceptionError("nothing was chosen: click on a thing, or drag a box around it")
    corners = tuple(float(value) for value in box)
    if frame is None:
        # Of a moment ago; the robot hardly moved.
        return {"box": corners}
    return {"image": frame.joined.image.pixels, "box": corners}


def _free_name(labels: list[str]) -> str:
    """A name that no query has."""
    if NEW_NAME not in labels:
        return NEW_NAME
    return next(
        name for number in range(2, len(labels) + 3) if (name := f"{NEW_NAME} {number}") not in labels
    )
