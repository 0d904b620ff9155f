"""Several runs beside each other: their final figures, and in which settings their recipes differ."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from nicegui import ui

from perception_contrast_studio.components.runs.run_charts import look
from perception_contrast_studio.components.runs.training_run import TrainingRun, differing, flat

# Those that name the run itself differ always.
NAMES = ("name", "output")
LAST_BUCKETS = 10
_FIGURES = (
    "held out", "held out/kNN", "held out/near in time mAP", "held out/R@1", "held out/rank", "rank",
    "spread", "images per second", "memory MB",
)  # fmt: skip


def final_figures(runs: Sequence[TrainingRun]) -> list[tuple[str, list[str]]]:
    """Rows of the table: a name and a value for each run; figures that no run has are left out."""
    rows: list[tuple[str, list[str]]] = [
        ("method", [run.method for run in runs]),
        ("state", [str(run.status().state) for run in runs]),
        ("steps", [str(run.log.step) for run in runs]),
        ("loss, mean of the end", [_mean(run, "loss") for run in runs]),
        ("best held out", [_best(run) for run in runs]),
        *((name, [_last(run, name) for run in runs]) for name in _FIGURES),
        ("alarms", [str(len(run.alarms)) for run in runs]),
    ]
    return [(name, values) for name, values in rows if any(value != "-" for value in values)]


def _mean(run: TrainingRun, figure: str) -> str:
    curve = run.log.curves.get(figure)
    values = curve.recent(LAST_BUCKETS) if curve is not None else []
    return f"{fmean(values):.4g}" if values else "-"


def _last(run: TrainingRun, figure: str) -> str:
    curve = run.log.curves.get(figure)
    return f"{curve.last:.4g}" if curve is not None and curve.last is not None else "-"


def _best(run: TrainingRun) -> str:
    best = run.best()
    figure = best.get("figure")
    return f"{figure:.4g} at step {best.get('step')}" if isinstance(figure, int | float) else "-"


def recipe_rows(runs: Sequence[TrainingRun]) -> list[tuple[str, list[str]]]:
    """Settings in which the recipes differ."""
    found = differing([run.recipe for run in runs])
    return [(key, [_shown(value) for value in found[key]]) for key in sorted(found) if key not in NAMES]


def _shown(value: Any) -> str:
    return "-" if value is None else str(value)


class RunComparison:
    """Tables of two runs and more."""

    def __init__(self) -> None:
        self._box = ui.column().classes("full-width")
        self._shown: Any = None

    def show(self, runs: Sequence[TrainingRun]) -> None:
        """The runs as they are now; nothing for a single one."""
        content = None
        if len(runs) > 1:
            content = ([run.name for run in runs], final_figures(runs), recipe_rows(runs))
        if content == self._shown:
            return
        self._shown = content
        self._box.clear()
        if content is None:
            return
        names, figures, settings = content
        with self._box, ui.card().classes("full-width q-pa-md"):
            ui.label("Comparison").classes("text-h6").props("role=heading aria-level=2")
            value_table("Figures", names, figures, coloured=True)
            if settings:
                with ui.expansion(f"{len(settings)} settings differ", icon="difference", value=True):
                    value_table("Settings", names, settings)
            else:
                ui.label("The recipes are the same.")


def value_table(
    title: str, names: Sequence[str], rows: Sequence[tuple[str, list[str]]], *, coloured: bool = False
) -> None:
    """A column for each run; its curves' colour under the name."""
    wide = ui.element("div").classes("full-width").style("overflow-x: auto")
    with wide, ui.element("table").classes("run-values"):
        with ui.element("caption").classes("text-subtitle2 text-left"):
            ui.label(title)
        with ui.element("tr"):
            ui.element("th").props("scope=col")
            for number, name in enumerate(names):
                with ui.element("th").props("scope=col"):
                    ui.label(name)
                    if coloured:
                        colour, style = look(number)
                        ui.element("div").style(f"border-top: 3px {style} {colour}")
        for name, values in rows:
            with ui.element("tr"):
                with ui.element("th").props("scope=row"):
                    ui.label(name)
                for value in values:
                    with ui.element("td"):
                        ui.label(value)


def recipe_card() -> ui.expansion:
    """A fold with the settings of a run, filled by ``fill_recipe``."""
    return ui.expansion("Settings of the recipe", icon="tune").classes("full-width")


def fill_recipe(fold: ui.expansion, run: TrainingRun) -> None:
    """All settings as ``--set`` takes them."""
    fold.clear()
    with fold:
        lines = [f"{key}={_shown(value)}" for key, value in flat(run.recipe).items()]
        ui.code("\n".join(lines) or "recipe.yaml is missing", language="yaml").classes("full-width")


CSS = """
.run-values { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
.run-values th, .run-values td { padding: 4px 10px; text-align: left; 
  border-bottom: 1px solid rgba(128,128,128,.3); vertical-align: top; overflow-wrap: break-word; }
.run-values th[scope=row] { font-weight: 500; }
"""
