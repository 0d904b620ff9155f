"""Runs as they learn: losses, alarms, before and after."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlencode

from nicegui import run as threads
from nicegui import ui

from perception_contrast.core.errors import PerceptionError
from perception_contrast_studio.components.runs import run_actions, run_charts, run_comparison
from perception_contrast_studio.components.runs.run_actions import RunActions
from perception_contrast_studio.components.runs.run_charts import RunCharts
from perception_contrast_studio.components.runs.run_comparison import RunComparison, fill_recipe, recipe_card
from perception_contrast_studio.components.runs.run_judgement import RunJudgement
from perception_contrast_studio.components.runs.run_overview import RunList, RunStatusCard
from perception_contrast_studio.components.runs.run_watch import run_watch
from perception_contrast_studio.components.runs.training_run import TrainingRun
from perception_contrast_studio.components.shared import gaps
from perception_contrast_studio.server.page_frame import show_problem
from perception_contrast_studio.server.studio_page import StudioPage, Visit

REFRESH_SECONDS = 2.0
MOST_COMPARED = 6
_ABOUT = """
A training run shows your images to a network again and again, and changes the network a little each time.
This page follows runs while they learn, and nothing here changes them unless you press a button.

- **Loss** falls while it learns. **Held out** says how good the features are on images that it never saw.
- **RankMe** and **spread** tell whether the features are still different from image to image. If they fall
  towards their floor, the run collapses, and an alarm says why.
- Choose two runs or more in the list to lay their curves over each other and see in what they differ.
- *Compare now* measures the best checkpoint against the network that the run started from.
"""
_EMPTY = """
No run is here yet. Start one in a terminal, and the studio with its folder:

    perception-contrast train run --recipe dinov2_lora --set data.path=DATASET --set output=runs/kitchen
    perception-contrast studio --run runs
"""


class TrainingView:
    """The page of one visitor.

    Args:
        visit: Of the visitor.
        wanted: Folder of the run to show first, "" for the newest.
    """

    def __init__(self, visit: Visit, wanted: str) -> None:
        self._watch = run_watch(visit.studio)
        self._keys = [wanted] if wanted else []
        self._busy = False
        self._empty = ui.markdown(_EMPTY)
        self._content = ui.column().classes("full-width gap-md no-wrap")
        with self._content:
            self._list = RunList(self._choose)
            self._status = RunStatusCard()
            self._actions = RunActions(visit)
            self._charts = RunCharts()
            self._comparison = RunComparison()
            self._judgement = RunJudgement(visit)
            self._recipe = recipe_card()
        self._recipe_shown: object = None
        self._empty.set_visibility(False)
        self._content.set_visibility(False)

    def _choose(self, keys: list[str]) -> None:
        self._keys = keys[:MOST_COMPARED]
        if len(keys) > MOST_COMPARED:
            ui.notify(f"At most {MOST_COMPARED} runs are drawn at once.", type="warning")
        if self._keys:
            ui.navigate.history.replace(f"/training?{_query(self._keys[0])}")
        ui.timer(0.0, self.refresh, once=True)

    async def refresh(self) -> None:
        """Reads what is new and shows it; one reading at a time."""
        if self._busy:
            return
        self._busy = True
        try:
            await self._refresh()
        finally:
            self._busy = False

    async def _refresh(self) -> None:
        found = await threads.io_bound(self._watch.runs) or []
        self._empty.set_visibility(not found)
        self._content.set_visibility(bool(found))
        if not found:
            return
        known = {str(run.folder) for run in found}
        self._keys = [key for key in self._keys if key in known] or [str(found[0].folder)]
        self._list.show(found, self._keys)
        self._list.choose(self._keys)
        chosen: list[TrainingRun] = []
        for key in self._keys:
            run = await threads.io_bound(self._watch.whole, Path(key))
            if run is not None:
                chosen.append(run)
        first = chosen[0]
        self._status.show(first)
        self._comparison.show(chosen)
        self._charts.show(chosen)
        await self._actions.show(first)
        await self._judgement.show(first)
        if self._recipe_shown != (first.folder, first.recipe):
            self._recipe_shown = (first.folder, first.recipe)
            fill_recipe(self._recipe, first)


def _query(key: str) -> str:
    return urlencode({"run": key})


async def build(visit: Visit) -> None:
    """Builds the page for one visitor."""
    ui.add_css(gaps.CSS + run_charts.CSS + run_comparison.CSS + run_actions.CSS)
    with ui.expansion("What is this?", icon="help_outline").classes("full-width"):
        ui.markdown(_ABOUT)
    request = ui.context.client.request
    wanted = request.query_params.get("run", "")
    if wanted:
        try:
            wanted = str(visit.studio.folders.checked(wanted))
        except PerceptionError as error:
            show_problem(str(error))
            wanted = ""
    view = TrainingView(visit, wanted)
    await view.refresh()
    timer = ui.timer(REFRESH_SECONDS, view.refresh)
    visit.on_leave(timer.deactivate)


PAGE = StudioPage(
    path="/training",
    title="Training",
    icon="trending_up",
    summary="Runs as they learn: losses, alarms, before and after.",
    build=build,
)
