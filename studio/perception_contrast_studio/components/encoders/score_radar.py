"""Measured scores of two encoders on the user's data: a chart with the numbers beside it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nicegui import ui

from perception_contrast_studio.components.encoders.encoder_session import EncoderSession
from perception_contrast_studio.components.shared.progress_line import ProgressLine
from perception_contrast_studio.server.page_frame import PRIMARY, WARNING

LIMITS = {100: "100 images", 500: "500 images", 2000: "2000 images", 10000: "10000 images"}
# A radar of fewer axes than this is a line.
LEAST_AXES = 3
USUAL_LIMIT = 500
ABOUT = {
    "kNN accuracy": "each image's class, told by its 20 nearest others (one left out)",
    "dense probe mIoU": "label images, told by one linear layer on frozen cells; tested on the last quarter",
    "clustering mIoU": "label images, told by k-means of the cells without any training",
    "presence AUC": "how surely the name of an image's class scores higher than the names of other classes",
    "near in time mAP": "how often a frame's nearest frames were taken within moments of it",
}
COLUMNS = [
    {"name": "score", "label": "Score", "field": "score", "align": "left"},
    {"name": "dataset", "label": "Data", "field": "dataset", "align": "left"},
    {"name": "first", "label": "", "field": "first", "align": "right"},
    {"name": "second", "label": "", "field": "second", "align": "right"},
    {"name": "count", "label": "Images", "field": "count", "align": "right"},
]


class ScoreRadar:
    """Measures both encoders on the chosen datasets."""

    def __init__(self, session: EncoderSession) -> None:
        self._session = session
        if not session.datasets:
            ui.label(
                "No data to measure on: start the studio with --dataset DIR. A folder with one of images "
                "for each class gives kNN; images/ with labels/ gives the dense scores; a "
                "dataset of `perception-contrast data extract` gives nearness in time."
            ).classes("studio-wrap")
            return
        options = {path: Path(path).name for path in session.datasets}
        with ui.row().classes("full-width items-center"):
            self._chosen = ui.select(options, value=list(options), label="Measure on", multiple=True)
            self._chosen.props("use-chips").classes("col-12 col-sm-5")
            self._limit = ui.select(LIMITS, value=USUAL_LIMIT, label="At most of each")
            self._limit.classes("col-6 col-sm-2")
            ui.button("Measure both", icon="straighten", on_click=self._measure)
        self.progress = ProgressLine()
        self._told = ui.label("Not measured yet.").classes("text-caption studio-wrap").props("role=status")
        with ui.element("div").classes("row full-width q-col-gutter-md items-center"):
            self._chart_area = ui.column().classes("col-12 col-md-5")
            self._table_area = ui.column().classes("col-12 col-md-7")
        session.on_change.append(self._changed)
        session.visit.on_leave(self.progress.cancel)
        self._measured: tuple[str, ...] = ()

    async def _changed(self) -> None:
        if self._measured and self._measured != tuple(self._session.encoders):
            self._told.set_text("These scores are of other encoders; measure again.")

    async def _measure(self) -> None:
        session = self._session
        if len(session.encoders) != 2 or not self._chosen.value:
            ui.notify("Choose two encoders and some data first.", type="warning")
            return
        encoders = list(session.encoders)
        rows = await session.long(
            self.progress,
            "encoders.encoder_scores:measure",
            encoders=encoders,
            datasets=[path for path in self._chosen.value if path in session.datasets],
            most=self._limit.value,
        )
        if rows is None or session.gone:
            return
        self._measured = tuple(encoders)
        titles = [session.title(number) for number in range(2)]
        self._chart_area.clear()
        self._table_area.clear()
        with self._chart_area:
            _chart(rows, titles)
        with self._table_area:
            _table(rows, titles)
        self._told.set_text(
            "Higher is better; 1 is perfect. Scores of few images are uncertain: of 100 images an accuracy "
            "near one half has a deviation of 0.05."
        )


def measured_axes(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows that have a value for each encoder."""
    return [row for row in rows if all(one["value"] is not None for one in row["scores"])]


def chart_options(rows: Sequence[dict[str, Any]], titles: Sequence[str]) -> dict[str, Any] | None:
    """ECharts' options: a radar, or bars where there are too few axes for one; None without any value."""
    axes = measured_axes(rows)
    if not axes:
        return None
    names = [_axis_name(row) for row in axes]
    series = [
        {"name": title, "value": [round(row["scores"][number]["value"], 4) for row in axes]}
        for number, title in enumerate(titles)
    ]
    common = {
        "color": [PRIMARY, WARNING],
        "legend": {"bottom": 0, "textStyle": {"color": "#888"}},
        "tooltip": {},
        "aria": {"enabled": True},
    }
    if len(axes) >= LEAST_AXES:
        return {
            **common,
            "radar": {
                "indicator": [{"name": name, "min": 0, "max": 1} for name in names],
                "axisName": {"color": "#888", "lineHeight": 15},
                "axisNameGap": 8,
                "center": ["50%", "46%"],
                "radius": "62%",
                "splitArea": {"show": False},
            },
            "series": [{"type": "radar", "data": series, "areaStyle": {"opacity": 0.15}}],
        }
    return {
        **common,
        "xAxis": {"type": "category", "data": names, "axisLabel": {"color": "#888"}},
        "yAxis": {"type": "value", "min": 0, "max": 1, "axisLabel": {"color": "#888"}},
        "series": [{"type": "bar", "name": one["name"], "data": one["value"]} for one in series],
    }


def _axis_name(row: dict[str, Any]) -> str:
    """A score and its data, in lines that fit beside a chart on a phone."""
    return "\n".join(
        [
            *textwrap.wrap(row["score"], 9, break_long_words=False),
            *textwrap.wrap(Path(row["dataset"]).name, 14)[:1],
        ]
    )


def table_rows(rows: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    """What the table says, with what is missing in place of a number."""
    found = []
    for number, row in enumerate(rows):
        first, second = row["scores"]
        missing = list(dict.fromkeys(one["missing"] for one in row["scores"] if one["missing"]))
        found.append(
            {
                "id": str(number),
                "score": row["score"],
                "about": ABOUT.get(row["score"], ""),
                "dataset": Path(row["dataset"]).name,
                "first": _told(first),
                "second": _told(second),
                "count": str(max(first["count"], second["count"]) or ""),
                "missing": f"Not measured: {'; '.join(missing)}." if missing else "",
            }
        )
    return found


def _told(score: dict[str, Any]) -> str:
    return "-" if score["value"] is None else f"{score['value']:.3f}"


def _chart(rows: Sequence[dict[str, Any]], titles: Sequence[str]) -> None:
    options = chart_options(rows, titles)
    if options is None:
        ui.label("Nothing could be measured of both; the table says what is missing.").classes("studio-wrap")
        return
    ui.echart(options).classes("full-width").style("height: 360px").props(
        'role=img aria-label="Scores of both encoders; the table has the numbers"'
    )


def _table(rows: Sequence[dict[str, Any]], titles: Sequence[str]) -> None:
    columns = [dict(column) for column in COLUMNS]
    columns[2]["label"], columns[3]["label"] = titles
    table = (
        ui.table(columns=columns, rows=table_rows(rows), row_key="id")
        .classes("full-width")
        .props("flat dense wrap-cells")
    )
    table.add_slot(
        "body-cell-score",
        """<q-td :props="props">{{ props.row.score }}
        <div class="text-caption" style="opacity: .75">{{ props.row.about }}</div>
        <div v-if="props.row.missing" class="text-caption"><b>{{ props.row.missing }}</b></div></q-td>""",
    )
