"""Chooses one of the recipes of pretraining: those that come along, and those saved here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from nicegui import ui

from perception_contrast_studio.server.studio_page import Visit

USUAL = "simclr_adapt"


class RecipeChoice:
    """A select; empty until ``load``.

    Args:
        visit: The visitor's view.
        on_change: Called after each choice.
        paired: Only recipes that make two views of an image.
    """

    def __init__(self, visit: Visit, on_change: Callable[[], Any], *, paired: bool = False) -> None:
        self._visit, self._paired = visit, paired
        self._known: dict[str, dict[str, Any]] = {}
        self.select = ui.select({}, label="Recipe", on_change=on_change).classes("full-width")
        self.select.props("dense outlined options-dense")

    @property
    def path(self) -> str:
        """Of the chosen recipe; "" before there is one."""
        return str(self.select.value or "")

    @property
    def chosen(self) -> dict[str, Any]:
        """As of ``tasks.training.recipe_files.recipes``."""
        return self._known[self.path]

    async def load(self) -> None:
        """Lists the recipes anew; keeps the choice. Raises PerceptionError."""
        folder = self._visit.studio.folders.recipes
        listed = await asyncio.shield(
            self._visit.studio.workers.run(
                "training.recipe_files:recipes",
                lane="augmentations",
                folder="" if folder is None else str(folder),
            )
        )
        usable = [one for one in listed if one["method"] and (one["paired"] or not self._paired)]
        self._known = {one["path"]: one for one in usable}
        options = {
            one["path"]: f"{one['name']}{' (yours)' if one['own'] else ''}: {one['method']}" for one in usable
        }
        usual = next((one["path"] for one in usable if one["name"] == USUAL), None)
        self.select.set_options(options, value=self.select.value or usual)
        for one in listed:
            if one.get("problem"):
                ui.notify(f"'{one['name']}' is no recipe: {one['problem']}", type="warning")
