"""Curves of runs: which figures belong together, and their charts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nicegui import ui

from perception_contrast_studio.components.runs.training_run import TrainingRun

# Okabe and Ito's, without the yellow that white paper hides; line styles tell them apart without colour.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7", "#7d7d7d")
STYLES = ("solid", "dashed", "dotted")
INK, LINES = "#7d7d7d", "rgba(128,128,128,.25)"
MOST_LINES = 14


@dataclass(frozen=True)
class Panel:
    """A chart.

    Attributes:
        title: Above it.
        about: What it tells, for people who do not know the field.
        figures: Names in the log, the one that runs are compared by first; one that ends with "/" stands for
            all that begin with it.
        shown_always: Whether it is there without figures.
        logarithmic: Of the value axis.
    """

    title: str
    about: str
    figures: tuple[str, ...]
    shown_always: bool = False
    logarithmic: bool = False


PANELS = (
    Panel(
        "Loss",
        "What training makes smaller. It should fall, quickly at first. Losses of two methods cannot be "
        "compared with each other.",
        ("loss", "loss/"),
        shown_always=True,
    ),
    Panel(
        "Held-out images",
        "How good the features are on images that the run does not learn from: share of right answers of "
        "nearest neighbours, or precision of finding frames that are near in time. Higher is better.",
        ("held out", "held out/kNN", "held out/near in time mAP", "held out/R@1", "held out/zero-shot"),
        shown_always=True,
    ),
    Panel(
        "RankMe",
        "How many dimensions the features use. A run that collapses falls towards 1.",
        ("rank", "projection rank", "held out/rank"),
        shown_always=True,
    ),
    Panel(
        "Spread",
        "1: vectors of different images point everywhere. 0: all images have the same vector, so nothing "
        "can be told apart.",
        ("spread", "projection spread", "held out/spread"),
        shown_always=True,
    ),
    Panel(
        "Teacher",
        "Of methods with a teacher: how much it tells images apart. The entropy of its mean stays near ln K.",
        ("teacher knowledge", "teacher entropy of mean", "teacher entropy", "ln K"),
    ),
    Panel(
        "Gradient and rate",
        "The size of the steps: steady is healthy. A hundred times the usual means that the run diverges.",
        ("gradient norm", "learning rate"),
        logarithmic=True,
    ),
    Panel(
        "Throughput",
        "Images that are learned from in a second. A fall often means that data arrive too slowly.",
        ("images per second",),
        shown_always=True,
    ),
    Panel(
        "Waiting and memory",
        "Share of the time that is spent waiting for images, and memory in MB at its peak.",
        ("share of time waiting for data", "memory MB"),
        logarithmic=True,
    ),
)


@dataclass(frozen=True)
class Line:
    """A curve of a chart."""

    name: str
    colour: str
    style: str
    points: list[tuple[int, float]]


def panel_lines(panel: Panel, runs: Sequence[TrainingRun]) -> list[Line]:
    """Of one run all figures of the panel; of several the first one that any of them has."""
    if len(runs) == 1:
        names = _present(panel, runs[0])
        return [_line(runs[0], name, name, number) for number, name in enumerate(names)][:MOST_LINES]
    figure = next((name for name in panel.figures if any(name in one.log.curves for one in runs)), None)
    if figure is None:
        return []
    return [
        _line(run, figure, f"{run.name}: {figure}", number)
        for number, run in enumerate(runs)
        if figure in run.log.curves
    ]


def _present(panel: Panel, run: TrainingRun) -> list[str]:
    names: list[str] = []
    for figure in panel.figures:
        own = [figure] if figure in run.log.curves else []
        more = sorted(name for name in run.log.curves if figure.endswith("/") and name.startswith(figure))
        names += [name for name in own or more if name not in names]
    # A loss of one term stands twice in the log.
    if len(names) == 2 and names[0] == "loss" and names[1].startswith("loss/"):
        return names[:1]
    return names


def _line(run: TrainingRun, figure: str, name: str, number: int) -> Line:
    colour, style = look(number)
    return Line(name, colour, style, run.log.curves[figure].points())


def look(number: int) -> tuple[str, str]:
    """Colour and line style of the curve with that number: no two of the first 21 have both in common."""
    return COLOURS[number % len(COLOURS)], STYLES[(number // len(COLOURS) + number) % len(STYLES)]


def chart_options(panel: Panel, lines: Sequence[Line]) -> dict[str, Any]:
    """Of ECharts."""
    axis = {"axisLabel": {"color": INK}, "nameTextStyle": {"color": INK}}
    return {
        "animation": False,
        "aria": {"enabled": True, "label": {"description": f"{panel.title} over the steps"}},
        "grid": {"left": 8, "right": 16, "top": 34, "bottom": 26, "containLabel": True},
        "legend": {"type": "scroll", "top": 0, "textStyle": {"color": INK}, "pageTextStyle": {"color": INK}},
        "tooltip": {"trigger": "axis", "confine": True},
        "xAxis": {
            "type": "value",
            "name": "step",
            "nameLocation": "middle",
            "nameGap": 24,
            "min": "dataMin",
            "max": "dataMax",
            "splitLine": {"show": False},
            **axis,
        },
        "yAxis": {
            "type": "log" if panel.logarithmic else "value",
            "scale": True,
            "splitLine": {"lineStyle": {"color": LINES}},
            **axis,
        },
        "series": [_series(line, panel) for line in lines],
    }


def _series(line: Line, panel: Panel) -> dict[str, Any]:
    points = [one for one in line.points if one[1] > 0] if panel.logarithmic else line.points
    return {
        "type": "line",
        "name": line.name,
        "data": [[step, float(f"{value:.6g}")] for step, value in points],
        "showSymbol": len(points) < 40,
        "symbolSize": 5,
        "lineStyle": {"width": 2, "type": line.style},
        "itemStyle": {"color": line.colour},
        "emphasis": {"focus": "series"},
    }


class RunCharts:
    """The charts of the chosen runs; only what changed is sent."""

    def __init__(self) -> None:
        self._grid = ui.element("div").classes("run-charts full-width")
        self._charts: dict[str, tuple[ui.echart, ui.column]] = {}
        with self._grid:
            for panel in PANELS:
                self._charts[panel.title] = self._card(panel)

    def _card(self, panel: Panel) -> tuple[ui.echart, ui.column]:
        with (
            ui.column().classes("gap-none") as cell,
            ui.card().classes("full-width q-pa-sm"),
        ):
            with ui.row().classes("items-center gap-xs"):
                ui.label(panel.title).classes("text-subtitle1").props("role=heading aria-level=3")
                with ui.icon("help_outline", size="xs").props(f'tabindex=0 aria-label="{panel.title}: help"'):
                    ui.tooltip(panel.about).classes("text-body2").style("max-width: 22rem")
            chart = ui.echart(chart_options(panel, [])).classes("full-width").style("height: 230px")
        return chart, cell

    def show(self, runs: Sequence[TrainingRun]) -> None:
        """Draws the runs' curves as they are now."""
        for panel in PANELS:
            chart, cell = self._charts[panel.title]
            lines = panel_lines(panel, runs)
            cell.set_visibility(bool(lines) or (panel.shown_always and bool(runs)))
            options = chart_options(panel, lines)
            if options != chart.options:
                chart.options.clear()
                chart.options.update(options)
                chart.update()


CSS = """
.run-charts { display: grid; gap: 12px;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 420px), 1fr)); }
"""
