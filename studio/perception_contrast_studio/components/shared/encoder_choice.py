"""Chooses an encoder of the registry; those whose weights are on this machine stand first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from nicegui import ui

from perception_contrast_studio.server.studio_page import Visit

VECTORS = "view vectors"
"""Lane of what computes vectors, so that pages share the encoders that it loaded."""


class EncoderChoice:
    """A select; empty until ``load``.

    Args:
        visit: The visitor's view.
        usual: Name of the first choice.
        on_change: Called after each choice.
    """

    def __init__(self, visit: Visit, usual: str, on_change: Callable[[], Any] | None = None) -> None:
        self._visit = visit
        self._listed: list[dict[str, Any]] = []
        self.select = ui.select({usual: usual}, label="Encoder", value=usual, on_change=on_change)
        self.select.classes("full-width").props("dense outlined options-dense")

    @property
    def name(self) -> str:
        """The chosen model."""
        return str(self.select.value)

    async def load(self) -> None:
        """Lists the encoders. Raises PerceptionError."""
        self._listed = await asyncio.shield(
            self._visit.studio.workers.run("encoders.encoder_models:registry_encoders", lane=VECTORS)
        )
        self.show(words=False)

    def show(self, *, words: bool) -> None:
        """Offers all encoders, or with ``words`` those that know words."""
        usable = [one for one in self._listed if one["words"] or not words]
        options = {
            one["name"]: one["name"] + ("" if one["here"] else " (weights not on this machine)")
            for one in usable
        }
        if not options:
            return
        value = self.select.value if self.select.value in options else next(iter(options))
        self.select.set_options(options, value=value)
