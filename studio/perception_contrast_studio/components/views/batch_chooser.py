"""Chooses a batch of pairs: a toy, two views of frames, or images with captions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from nicegui import ui

from perception_contrast.core.errors import PerceptionError
from perception_contrast_studio.components.shared.encoder_choice import VECTORS, EncoderChoice
from perception_contrast_studio.components.shared.latest import Latest
from perception_contrast_studio.components.views.recipe_choice import RecipeChoice
from perception_contrast_studio.server.studio_page import Visit

TOY, VIEWS, CAPTIONS, CLASSES = "toy", "views", "captions", "classes"
SOURCES = {
    TOY: "toy: random vectors and noisy copies",
    VIEWS: "two views of frames",
    CAPTIONS: "images and captions",
    CLASSES: "images and names of their folders",
}
WITH_WORDS = (CAPTIONS, CLASSES)
LANE = "contrastive_losses"
MOST, USUAL = 128, 32


class BatchChooser:
    """The controls, and the batch that they gave, as of ``tasks.training.pair_batch``.

    Args:
        visit: The visitor's view.
        on_batch: Called when a batch is there.
    """

    def __init__(self, visit: Visit, on_batch: Callable[[], Any]) -> None:
        self._visit, self._on_batch = visit, on_batch
        self.batch: dict[str, Any] = {}
        self._work = Latest(self._load, self._say)
        visit.on_leave(self._work.close)
        paths = visit.studio.folders.datasets
        sources = SOURCES if paths else {TOY: SOURCES[TOY]}
        self.kind = ui.select(sources, label="Batch", value=TOY, on_change=self._kind_chosen)
        self._dataset = ui.select({str(path): path.name for path in paths}, label="Dataset")
        self._dataset.set_value(next(iter(self._dataset.options), None))
        for one in (self.kind, self._dataset):
            one.classes("full-width").props("dense outlined")
        if not paths:
            ui.label(
                "For a batch of your own, start the studio with --dataset DIR; "
                "`perception-contrast data extract BAG --out DIR` makes one of a recording."
            ).classes("text-caption studio-wrap")
        self._recipe = RecipeChoice(visit, lambda: None, paired=True)
        self._encoder = EncoderChoice(visit, "dinov2-s14")
        self._count = self._slider("Pairs", 2, MOST, 1, USUAL)
        self._noise = self._slider("Noise of the copies", 0.0, 3.0, 0.05, 1.0)
        self._seed = ui.number("Seed", value=0, min=0, max=2**31 - 1, precision=0)
        self._seed.props("dense outlined").classes("full-width").on_value_change(self._moved)
        with ui.row().classes("items-center full-width") as self._buttons:
            self._button = ui.button("Compute the batch", icon="play_arrow", on_click=self._work.request)
            self._cancel = ui.button("Cancel", on_click=self._cancelled).props("flat")
        self._bar = ui.linear_progress(show_value=False).props('aria-label="Progress"')
        self._said = ui.label().classes("text-caption studio-wrap").props("role=status")

    def _slider(self, name: str, least: float, most: float, step: float, value: float) -> ui.slider:
        with ui.column().classes("full-width").style("gap: 0; padding-right: 10px") as box:
            label = ui.label()
            slider = ui.slider(min=least, max=most, step=step, value=value).props(f'aria-label="{name}"')
        slider.on_value_change(self._moved)
        label.bind_text_from(slider, "value", lambda one: f"{name}: {one:g}")
        slider.bind_visibility_to(box)
        return slider

    async def start(self) -> None:
        """Fills the controls and makes the toy. Raises PerceptionError."""
        self._kind_chosen()
        await self._recipe.load()
        await self._encoder.load()
        self._encoder.show(words=self.kind.value in WITH_WORDS)

    def _kind_chosen(self) -> None:
        kind = str(self.kind.value)
        self._dataset.set_visibility(kind != TOY)
        self._recipe.select.set_visibility(kind == VIEWS)
        self._encoder.select.set_visibility(kind != TOY)
        self._noise.set_visibility(kind == TOY)
        self._buttons.set_visibility(kind != TOY)
        self._cancel.set_visibility(False)
        self._bar.set_visibility(False)
        self._encoder.show(words=kind in WITH_WORDS)
        self._said.set_text("" if kind == TOY else "Press the button: an encoder computes the vectors once.")
        if kind == TOY:
            self._work.request()

    def _moved(self) -> None:
        if self.kind.value == TOY:
            self._work.request()

    def _cancelled(self) -> None:
        self._work.cancel()
        self._finished("Cancelled.")

    def _finished(self, text: str) -> None:
        self._bar.set_visibility(False)
        self._cancel.set_visibility(False)
        self._button.enable()
        self._said.set_text(text)

    def _say(self, text: str) -> None:
        if text:
            self._finished(text)

    def _progress(self, fraction: float, text: str) -> None:
        self._bar.set_value(fraction)
        self._said.set_text(f"{text} ({fraction:.0%})")

    async def _load(self) -> None:
        kind = str(self.kind.value)
        common: dict[str, Any] = {"count": int(self._count.value or 2), "seed": int(self._seed.value or 0)}
        run = self._visit.studio.workers.run
        if kind == TOY:
            noise = float(self._noise.value or 0.0)
            self.batch = await asyncio.shield(
                run("training.pair_batch:toy", lane=LANE, noise=noise, **common)
            )
            self._on_batch()
            return
        if not self._dataset.value:
            raise PerceptionError("choose a dataset")
        common["path"] = str(self._visit.studio.folders.checked(str(self._dataset.value)))
        common["encoder"] = self._encoder.name
        self._button.disable()
        self._bar.set_visibility(True)
        self._cancel.set_visibility(True)
        if kind == VIEWS:
            task, common["recipe"] = "training.similarity_batch:views_batch", self._recipe.path
        else:
            task, common["of_classes"] = "training.similarity_batch:captions_batch", kind == CLASSES
        found = await run(task, lane=VECTORS, on_progress=self._progress, **common)
        self.batch = found
        self._finished(f"{len(found['first'])} pairs by {common['encoder']}")
        self._on_batch()
