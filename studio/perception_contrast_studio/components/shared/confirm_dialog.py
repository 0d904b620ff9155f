"""A question that must be answered before something is lost."""

from __future__ import annotations

from nicegui import ui
from nicegui.element import Element


async def confirmed(text: str, action: str) -> bool:
    """Asks. action: on the button that does it."""
    with ui.dialog() as dialog, ui.card().props("role=alertdialog"):
        ui.label(text).classes("studio-wrap")
        with ui.row().classes("full-width justify-end studio-gap"):
            ui.button("Cancel", on_click=lambda: dialog.submit(False)).props("flat no-caps autofocus")
            ui.button(action, on_click=lambda: dialog.submit(True), color="negative").props("no-caps")
    try:
        return bool(await dialog)
    finally:
        discard(dialog)


def discard(element: Element) -> None:
    """Deletes what was shown for one question, unless the visitor left and it went with the page."""
    if not element.is_deleted:
        element.delete()
