"""The list of runs, and what one of them does now: state, progress, alarms."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from nicegui import events, ui

from perception_contrast_studio.components.runs.run_events import RunEvent
from perception_contrast_studio.components.runs.training_run import State, TrainingRun, duration

LOOKS: dict[State, tuple[str, str]] = {
    "running": ("play_circle", "primary"),
    "stalled": ("hourglass_bottom", "warning"),
    "finished": ("check_circle", "positive"),
    "interrupted": ("pause_circle", "secondary"),
    "failed": ("error", "negative"),
    "killed": ("cancel", "negative"),
    "unknown": ("help", "grey"),
    "new": ("radio_button_unchecked", "grey"),
}
ADVICE = {
    "point": "Lower optimisation.learning_rate first; then check the method's temperature.",
    "lines": "Use milder options.views, or more varied images (`perception-contrast data dedup`).",
    "prototype": "Raise the momentum of the centre, or take the method's published options.",
    "uniform": "Lower options.teacher_temperature.",
    "level": "Check optimisation.learning_rate and the temperature; look at the images.",
    "exploding": "Lower optimisation.learning_rate, or set optimisation.clip.",
    "vanishing": "Check that something is trained: backbone.frozen, lora.rank.",
    "rate": "Lower optimisation.learning_rate, or raise optimisation.warm_up.",
    "temperature": "Raise options.temperature.",
    "duplicates": "Leave near-duplicates out (`perception-contrast data dedup`), or set data.pairs.apart_seconds.",
}
_COLUMNS: list[dict[str, Any]] = [
    {"name": "name", "label": "Run", "field": "name", "align": "left", "sortable": True},
    {"name": "state", "label": "State", "field": "state", "align": "left", "sortable": True},
    {"name": "progress", "label": "Steps", "field": "progress", "align": "right"},
    {"name": "loss", "label": "Loss", "field": "loss", "align": "right", "sortable": True},
    {"name": "held_out", "label": "Held out", "field": "held_out", "align": "right", "sortable": True},
    {"name": "alarms", "label": "Alarms", "field": "alarms", "align": "right", "sortable": True},
    {"name": "written", "label": "Last line", "field": "written", "align": "right"},
]
_STATE_CELL = """
<q-td :props="props"><q-icon :name="props.row.icon" :color="props.row.colour" size="xs" class="q-mr-xs"
aria-hidden="true"></q-icon>{{ props.row.state }}</q-td>
"""


def run_row(run: TrainingRun) -> dict[str, Any]:
    """A row of the list."""
    status = run.status()
    icon, colour = LOOKS[status.state]
    of = f" / {status.steps}" if status.steps else ""
    idle = time.time() - run.log.changed_at
    return {
        "key": str(run.folder),
        "name": run.name,
        "state": status.state,
        "icon": icon,
        "colour": colour,
        "progress": f"{run.log.step}{of}",
        "loss": newest(run, "loss"),
        "held_out": newest(run, "held out"),
        "alarms": len(run.alarms),
        "written": f"{duration(idle)} ago" if run.log.changed_at else "never",
    }


def newest(run: TrainingRun, figure: str) -> str:
    """The last value of a figure, "" for none."""
    curve = run.log.curves.get(figure)
    return "" if curve is None or curve.last is None else f"{curve.last:.4g}"


class RunList:
    """Runs to choose from.

    Args:
        chosen: Called with the keys of the rows that are chosen.
    """

    def __init__(self, chosen: Callable[[list[str]], None]) -> None:
        self._chosen = chosen
        self._table = (
            ui.table(rows=[], columns=_COLUMNS, row_key="key", selection="multiple", pagination=10)
            .classes("full-width")
            .props("dense flat bordered")
        )
        self._table.add_slot("body-cell-state", _STATE_CELL)
        self._table.on_select(lambda event: self._chosen([row["key"] for row in event.selection]))
        self._table.on("rowClick", self._on_row, js_handler="(event, row) => emit(row.key)")

    def _on_row(self, event: events.GenericEventArguments) -> None:
        self.choose([str(event.args)])
        self._chosen([str(event.args)])

    def choose(self, keys: Sequence[str]) -> None:
        """Marks rows as chosen."""
        self._table.selected = [row for row in self._table.rows if row["key"] in keys]

    def show(self, runs: Sequence[TrainingRun], keys: Sequence[str]) -> None:
        """The rows as they are now."""
        rows = [run_row(run) for run in runs]
        if rows != self._table.rows:
            self._table.rows = rows
            self.choose(keys)


class RunStatusCard:
    """What one run does now."""

    def __init__(self) -> None:
        with ui.card().classes("full-width q-pa-md"):
            with ui.row().classes("items-center gap-sm full-width"):
                self._icon = ui.icon("help", size="md").props("aria-hidden=true")
                self._title = ui.label().classes("text-h6 studio-wrap").props("role=heading aria-level=2")
                self._state = ui.badge("").classes("q-pa-xs text-body2")
                ui.space()
                self._method = ui.label().classes("text-body2")
            self._reason = ui.label().classes("studio-wrap").props("role=status")
            self._progress = (
                ui.linear_progress(0.0, show_value=False, size="14px")
                .props("rounded")
                .props('aria-label="share of the steps"')
            )
            self._facts = ui.row().classes("gap-lg")
            self._alarms = ui.column().classes("full-width gap-sm")
        self._told: tuple[Any, ...] = ()
        self._figures: list[tuple[str, str]] = []

    def show(self, run: TrainingRun) -> None:
        """The state as it is now."""
        status = run.status()
        icon, colour = LOOKS[status.state]
        self._icon.name = icon
        self._icon.props(f"color={colour}")
        self._title.text, self._state.text = run.name, status.state
        bright = colour in ("secondary", "warning")
        self._state.props(f"color={colour} text-color={'black' if bright else 'white'}")
        backbone = run.recipe.get("backbone")
        network = backbone.get("name", "") if isinstance(backbone, dict) else ""
        self._method.text = f"{run.method} on {network}" if network else run.method
        self._reason.text = status.reason
        self._progress.value = min(1.0, run.log.step / status.steps) if status.steps else 0.0
        self._show_figures(run, status.steps, status.speed, status.seconds_left)
        self._show_alarms(run.alarms)

    def _show_figures(self, run: TrainingRun, steps: int, speed: float, left: float | None) -> None:
        best = run.best()
        figures = [
            ("step", f"{run.log.step}{f' of {steps}' if steps else ''}"),
            ("time left", f"about {duration(left)}" if left is not None else "-"),
            ("images/s", f"{speed:.3g}" if speed else "-"),
            ("loss", newest(run, "loss") or "-"),
            ("RankMe", newest(run, "rank") or "-"),
            ("spread", newest(run, "spread") or "-"),
            ("best held out", f"{best['figure']:.4g} at step {best['step']}" if _is_best(best) else "-"),
            ("skipped batches", newest(run, "skipped batches") or "-"),
            ("checkpoints", str(run.checkpoints())),
        ]
        if figures == self._figures:
            return
        self._figures = figures
        self._facts.clear()
        with self._facts:
            for name, value in figures:
                with ui.column().classes("gap-none"):
                    ui.label(name).classes("text-caption")
                    ui.label(value).classes("text-subtitle1").props(f'data-figure="{name}"')

    def _show_alarms(self, alarms: Sequence[RunEvent]) -> None:
        told = tuple((one.step, one.text) for one in alarms)
        if told == self._told:
            return
        self._told = told
        self._alarms.clear()
        with self._alarms:
            for one in alarms:
                _alarm_card(one)


def _is_best(best: dict[str, Any]) -> bool:
    return isinstance(best.get("figure"), int | float) and isinstance(best.get("step"), int)


def _alarm_card(alarm: RunEvent) -> None:
    with ui.card().classes("full-width q-pa-sm").style("border-left: 6px solid #d55e00").props("role=alert"):
        with ui.row().classes("items-center no-wrap gap-sm"):
            ui.icon("warning", color="negative", size="sm").props("aria-hidden=true")
            ui.label(f"Alarm at step {alarm.step}").classes("text-subtitle2")
        ui.label(_sentence(alarm.text)).classes("studio-wrap")
        if advice := ADVICE.get(str(alarm.about.get("kind", ""))):
            ui.label(f"What to do: {advice}").classes("studio-wrap text-body2")


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"
