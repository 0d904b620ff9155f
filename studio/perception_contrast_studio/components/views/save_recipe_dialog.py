"""Asks for a name and saves a recipe under it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nicegui import ui

from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.plain_names import PLAIN_NAME_RULE, is_plain_name
from perception_contrast_studio.server.studio_page import Visit


class SaveRecipeDialog:
    """Opened by ``open``.

    Args:
        visit: The visitor's view.
        on_saved: Called after a recipe was saved.
    """

    def __init__(self, visit: Visit, on_saved: Callable[[], Any]) -> None:
        self._visit, self._on_saved = visit, on_saved
        self._path, self._changes = "", dict[str, Any]()
        with ui.dialog() as self._dialog, ui.card().style("min-width: min(92vw, 480px)"):
            ui.label("Save as recipe").classes("text-h6")
            self._said = ui.label().classes("text-body2 studio-wrap")
            self._name = ui.input("Name", validation={PLAIN_NAME_RULE: is_plain_name}).classes("full-width")
            self._replace = ui.checkbox("Replace a recipe of this name")
            self._problem = ui.label().classes("text-negative studio-wrap").props("role=alert")
            with ui.row().classes("justify-end full-width"):
                ui.button("Cancel", on_click=self._dialog.close).props("flat")
                ui.button("Save", icon="save", on_click=visit.changes(self._save))
        with ui.dialog() as self._done, ui.card().style("min-width: min(92vw, 560px)"):
            ui.label("The recipe is saved, and training reads it.").classes("text-h6")
            self._where = ui.label().classes("text-body2 studio-wrap")
            ui.label("Train by it:").classes("text-body2")
            self._command = ui.code("", language="bash").classes("full-width studio-wrap")
            ui.button("Close", on_click=self._done.close).props("flat").classes("self-end")

    def open(self, path: str, name: str, changes: dict[str, Any]) -> None:
        """Asks how to save the recipe at ``path`` with ``changes``; ``name`` is suggested."""
        self._path, self._changes = path, changes
        lines = [f"{key}: {value}" for key, value in changes.items()]
        self._said.set_text("\n".join(lines) if lines else "Nothing was changed: it becomes a copy.")
        self._name.set_value(name)
        self._replace.set_value(False)
        self._problem.set_text("")
        self._dialog.open()

    async def _save(self) -> None:
        folder = self._visit.studio.folders.recipes
        try:
            if folder is None:
                raise PerceptionError("the studio has no folder for recipes; start it with --save-to DIR")
            saved = await self._visit.studio.workers.run(
                "training.recipe_files:save",
                lane="augmentations",
                path=self._path,
                changes=self._changes,
                name=str(self._name.value or ""),
                folder=str(self._visit.studio.folders.checked(folder)),
                replace_it=bool(self._replace.value),
            )
        except PerceptionError as error:
            self._problem.set_text(str(error))
            return
        self._dialog.close()
        self._where.set_text(saved["path"])
        self._command.set_content(saved["command"])
        self._done.open()
        self._on_saved()
