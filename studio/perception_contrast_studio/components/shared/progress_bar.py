"""A line of progress with a text and, where work can be cancelled, a button."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nicegui import ui


class ProgressBar:
    """Hidden while nothing runs; the button shows where work can be cancelled.

    Args:
        on_cancel: Called by the button.
    """

    def __init__(self, on_cancel: Callable[[], Any]) -> None:
        with ui.row().classes("items-center full-width no-wrap studio-gap") as self._row:
            self._bar = ui.linear_progress(0.0, show_value=False).props('aria-label="Progress" rounded')
            self._bar.classes("col").style("height: 8px; min-width: 80px")
            self._text = ui.label("").classes("text-caption").props("role=status")
            self._button = ui.button("Cancel", icon="close", on_click=on_cancel).props("flat dense no-caps")
        self._row.set_visibility(False)

    def tell(self, fraction: float, text: str, *, cancellable: bool = False) -> None:
        """Shows how far something is; also called when the view is gone."""
        if self._row.is_deleted:
            return
        self._row.set_visibility(True)
        self._bar.set_value(max(0.02, min(1.0, fraction)))
        self._text.set_text(text)
        self._button.set_visibility(cancellable)

    def tell_cancellable(self, fraction: float, text: str) -> None:
        """As ``tell``, with the button."""
        self.tell(fraction, text, cancellable=True)

    def end(self) -> None:
        """Hides it."""
        if not self._row.is_deleted:
            self._row.set_visibility(False)
