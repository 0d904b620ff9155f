"""A batch as contrastive losses see it: temperature, rows, hard negatives."""

from __future__ import annotations

import asyncio
import math
from typing import Any

from nicegui import background_tasks, events, ui

from perception_contrast.core.errors import PerceptionError
from perception_contrast_studio.components.shared.latest import Latest
from perception_contrast_studio.components.views.batch_charts import BatchCharts
from perception_contrast_studio.components.views.batch_chooser import LANE, BatchChooser
from perception_contrast_studio.components.views.hardest_pairs import HardestPairs
from perception_contrast_studio.components.views.loss_cards import LossCards
from perception_contrast_studio.components.views.similarity_matrix import SimilarityMatrix, same_group
from perception_contrast_studio.server.studio_page import StudioPage, Visit

TEMPERATURE, BIAS = 0.07, -10.0
LEAST, MOST = 0.01, 1.0
TABLES = {"rows": "softmax of rows", "columns": "of columns", "sigmoid": "sigmoid", "cosine": "cosine"}
EXPLANATION = """
Contrastive training compares everything in a batch with everything else. Row i is an image (or a first
view), column j a text (or a second view). Pairs that belong together lie on the diagonal; all others are
**negatives**.

- **Temperature** divides the cosines before the softmax. Small: only the most alike negatives count, and
  the loss punishes them hard. Large: all negatives count nearly alike.
- **InfoNCE** asks "which of all?": the softmax of a row should be 1 on the diagonal. A larger batch makes
  it harder.
- **Sigmoid** asks of each pair "do they belong together?". Its bias says how rare true pairs are: in a
  batch of B one in B.
- **False negatives** show the same thing but count as different. A robot's frames a second apart do. The
  mask leaves pairs out that are nearer in time or place than the recipe's `data.pairs.apart_seconds` and
  `apart_metres` say; green frames mark them. Dashed frames mark items of one class or caption, which no
  mask of times knows.

The losses are computed by the training code itself, on the vectors of the encoder as it is, without the
small head that training puts on it. Try: lower the temperature with noisy pairs, and see which rows the
loss comes from.
"""


class SimilarityView:
    """One visitor's view of the page."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._row = 0
        self._shown: dict[str, Any] = {}
        self._alike = same_group([])
        self._sheets = {"first": "", "second": ""}
        self._work = Latest(self._compare, self._say)
        visit.on_leave(self._work.close)

    def build(self) -> None:
        """Lays the page out."""
        with ui.expansion("What is this?", icon="help_outline").classes("full-width"):
            ui.markdown(EXPLANATION)
        with ui.row().classes("full-width items-start q-col-gutter-md").style("margin: 0; gap: 0"):
            with ui.column().classes("col-12 col-md-4 col-lg-3"):
                self._chooser = BatchChooser(self._visit, self._batch_came)
                ui.separator()
                self._controls()
            with ui.column().classes("col-12 col-md-8 col-lg-9"):
                self._problem = ui.label().classes("text-negative studio-wrap").props("role=alert")
                self._cards = LossCards()
                self._status = ui.label("Preparing the training code ...").classes("text-body2 studio-wrap")
                self._status.props('role=status data-testid="status"')
                with ui.row().classes("full-width items-start q-col-gutter-md").style("margin: 0; gap: 0"):
                    with ui.column().classes("col-12 col-lg-6"):
                        self._matrix = SimilarityMatrix(self._visit).on("row", self._row_event)
                    with ui.column().classes("col-12 col-lg-6"):
                        self._charts = BatchCharts(self._choose_row)
                ui.label("Hardest negatives").classes("text-subtitle2")
                self._hardest = HardestPairs().on("row", self._row_event)

    def _controls(self) -> None:
        with ui.row().classes("items-center full-width no-wrap"):
            self._temperature = ui.number("Temperature", value=TEMPERATURE, min=LEAST, max=MOST, step=0.01)
            self._temperature.props("dense outlined").style("width: 8em")
            self._log = ui.slider(min=math.log10(LEAST), max=0.0, step=0.005, value=math.log10(TEMPERATURE))
            self._log.classes("col").props('aria-label="Temperature, logarithmic"')
        self._log.on_value_change(self._slid)
        self._temperature.on_value_change(self._typed)
        self._size = self._slider("Pairs of the batch that count (B)", 2, 2, 1, 2)
        self._bias = self._slider("Bias of the sigmoid loss", -20.0, 0.0, 0.1, BIAS)
        self._table = ui.toggle(TABLES, value="rows", on_change=self._work.request).props(
            "dense no-caps spread"
        )
        self._table.classes("full-width").props('aria-label="What the cells show"')
        self._rows_of = ui.toggle({"clip": "InfoNCE by row", "sigmoid": "sigmoid by row"}, value="clip")
        self._rows_of.props("dense no-caps spread").classes("full-width").on_value_change(self._show_rows)
        self._masked = ui.switch("Leave near frames out (our mask)", on_change=self._work.request)
        self._seconds = self._slider("Near: less than, seconds", 0.0, 30.0, 0.5, 10.0)
        self._metres = self._slider("Near: less than, metres", 0.0, 5.0, 0.1, 2.0)
        self._unknown = ui.label("Nobody knows when these were taken: the mask leaves nothing out.")
        self._unknown.classes("text-caption studio-wrap")

    def _slider(self, name: str, least: float, most: float, step: float, value: float) -> ui.slider:
        with ui.column().classes("full-width").style("gap: 0; padding-right: 10px"):
            label = ui.label().classes("text-body2")
            slider = ui.slider(min=least, max=most, step=step, value=value, on_change=self._work.request)
        slider.props(f'aria-label="{name}"')
        label.bind_text_from(slider, "value", lambda one: f"{name}: {one:g}")
        return slider

    def _slid(self) -> None:
        value = round(10 ** float(self._log.value or 0.0), 4)
        if abs(math.log10(value) - math.log10(float(self._temperature.value or 1.0))) > 0.004:
            self._temperature.set_value(value)

    def _typed(self) -> None:
        value = float(self._temperature.value or 0.0)
        if not LEAST <= value <= MOST:
            return
        self._log.set_value(math.log10(value))
        self._work.request()

    async def start(self) -> None:
        """Fills the controls; the page is there already."""
        try:
            await self._chooser.start()
        except PerceptionError as error:
            self._say(str(error))

    def _say(self, text: str) -> None:
        self._problem.set_text(text)

    def _batch_came(self) -> None:
        batch = self._chooser.batch
        count = len(batch["first"])
        old = [url for url in self._sheets.values() if url]
        for side in self._sheets:
            sheet = batch[f"{side}_sheet"]
            self._sheets[side] = self._visit.publish(sheet, "image/jpeg") if sheet else ""
        self._alike = same_group(batch["groups"])
        self._matrix.name_items(
            batch["first_names"], batch["second_names"], self._sheets["first"], self._sheets["second"]
        )
        for url in old:
            self._visit.studio.blobs.remove(url)
        whole = int(self._size.value or 2) >= int(self._size._props["max"])
        self._size.props(f"max={count}")
        self._size.set_value(count if whole else min(count, int(self._size.value or 2)))
        self._unknown.set_visibility(batch["where"] is None)
        self._row = min(self._row, count - 1)
        self._work.request()

    async def _compare(self) -> None:
        batch, size = self._chooser.batch, int(self._size.value or 2)
        if not batch:
            return
        size = min(size, len(batch["first"]))
        where = batch["where"]
        running = self._visit.studio.workers.run(
            "training.contrastive_losses:compare",
            lane=LANE,
            first=batch["first"][:size],
            second=batch["second"][:size],
            temperature=min(MOST, max(LEAST, float(self._temperature.value or TEMPERATURE))),
            bias=float(self._bias.value or 0.0),
            where=None if where is None else where[:size],
            seconds=float(self._seconds.value or 0.0),
            metres=float(self._metres.value or 0.0),
            masked=bool(self._masked.value),
            table=str(self._table.value),
        )
        found = await asyncio.shield(running)
        self._shown = {**found, "kind": str(self._table.value), "masked": bool(self._masked.value)}
        self._show(size)

    def _show(self, size: int) -> None:
        found, batch = self._shown, self._chooser.batch
        near, alike = found["near"], self._alike[:size, :size]
        self._cards.show(found["losses"], size, masked=found["masked"], has_near=bool(near.any()))
        self._matrix.show(found["kind"], found["table"], near, alike)
        for pair in found["hardest"]:
            pair["alike"] = bool(alike[pair["row"], pair["column"]])
        self._hardest.show(found["hardest"], self._side("first"), self._side("second"))
        rows, columns = found["found"]
        said = f"{size} pairs; {rows:.0%} of rows and {columns:.0%} of columns find their own partner first"
        if batch["where"] is not None:
            said += f"; {int(near.sum())} of {size * (size - 1)} negatives are near in time or place"
            if size > 1 and near.sum() == size * (size - 1):
                said += ": with the mask none is left to learn from; lower the seconds or the metres"
        self._status.set_text(said)
        self._show_rows()

    def _side(self, side: str) -> dict[str, Any]:
        return {"names": self._chooser.batch[f"{side}_names"], "sheet": self._sheets[side]}

    def _show_rows(self) -> None:
        found, batch = self._shown, self._chooser.batch
        if not found:
            return
        row = min(self._row, len(found["table"]) - 1)
        near = found["near"][row] | self._alike[row, : len(found["table"])]
        name = batch["first_names"][row]
        self._charts.show_row(row, found["table"][row], batch["second_names"], near, name)
        kind = str(self._rows_of.value)
        ways = found["rows"][kind]
        chosen, other = ("masked", "all") if found["masked"] else ("all", "masked")
        self._charts.show_losses(kind, ways[chosen], ways[other] if found["near"].any() else None)

    def _row_event(self, event: events.GenericEventArguments) -> None:
        self._choose_row(int(event.args))

    def _choose_row(self, row: int) -> None:
        if self._shown and 0 <= row < len(self._shown["table"]):
            self._row = row
            self._matrix.mark_row(row)
            self._show_rows()


async def build(visit: Visit) -> None:
    """Builds the page for one visitor."""
    view = SimilarityView(visit)
    view.build()
    client = ui.context.client

    async def start() -> None:
        with client:
            await view.start()

    visit.on_leave(background_tasks.create(start(), name="similarity").cancel)


PAGE = StudioPage(
    path="/similarity",
    title="Similarity matrix",
    icon="grid_on",
    summary="A batch as contrastive losses see it: temperature, rows, hard negatives.",
    build=build,
)
