"""Charts of a batch: the softmax of one row, and the loss of each row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from nicegui import events, ui
from numpy.typing import NDArray

GREY, OWN, OTHER, NEAR = "#888888", "#009e73", "#0072b2", "#e69f00"
SHOWN = 10


class BatchCharts:
    """Starts empty.

    Args:
        on_row: Called with the number of a row whose bar was chosen.
    """

    def __init__(self, on_row: Callable[[int], Any]) -> None:
        self._title = ui.label("Softmax of a row").classes("text-subtitle2 studio-wrap")
        self._row = ui.echart(_horizontal()).classes("full-width").style("height: 260px")
        ui.label("Loss of each row").classes("text-subtitle2")
        self._losses = ui.echart(_vertical(), on_point_click=self._clicked).classes("full-width")
        self._losses.style("height: 190px")
        self._on_row = on_row

    def _clicked(self, event: events.EChartPointClickEventArguments) -> None:
        self._on_row(int(event.data_index))

    def show_row(
        self, row: int, shares: NDArray[np.float32], names: Sequence[str], near: NDArray[np.bool_], name: str
    ) -> None:
        """Bars of the likeliest partners of a row.

        Args:
            row: Its number.
            shares: (n,) its values; NaN for what is left out.
            names: Of the columns.
            near: (n,) false negatives.
            name: Of the row.
        """
        order = np.argsort(-np.nan_to_num(shares, nan=-np.inf), kind="stable")[:SHOWN][::-1]
        colours = [OWN if at == row else NEAR if near[at] else OTHER for at in order]
        self._title.set_text(f"Row {row + 1}, {name}: the likeliest partners (green: its own)")
        options = self._row.options
        options["yAxis"]["data"] = [f"{at + 1}. {names[at]}"[:28] for at in order]
        options["series"][0]["data"] = [
            {"value": round(float(np.nan_to_num(shares[at])), 5), "itemStyle": {"color": colour}}
            for at, colour in zip(order, colours, strict=True)
        ]
        self._row.update()

    def show_losses(self, name: str, chosen: Sequence[float], other: Sequence[float] | None) -> None:
        """Bars of all rows, and a line of the other way to count negatives."""
        options = self._losses.options
        options["xAxis"]["data"] = [str(number) for number in range(1, len(chosen) + 1)]
        options["series"][0].update({"name": name, "data": [round(one, 5) for one in chosen]})
        options["series"][1]["data"] = [] if other is None else [round(one, 5) for one in other]
        self._losses.update()


def _axis(kind: str, **more: Any) -> dict[str, Any]:
    lines = {"lineStyle": {"color": "rgba(128,128,128,.3)"}}
    return {"type": kind, "axisLabel": {"color": GREY}, "splitLine": lines, **more}


def _horizontal() -> dict[str, Any]:
    label = {"color": GREY, "width": 130, "overflow": "truncate"}
    return {
        "animation": False,
        "grid": {"left": 140, "right": 46, "top": 6, "bottom": 22},
        "tooltip": {"trigger": "item"},
        "xAxis": _axis("value", min=0),
        "yAxis": {**_axis("category", data=[]), "axisLabel": label},
        "series": [{"type": "bar", "data": [], "label": {"show": True, "position": "right", "color": GREY}}],
    }


def _vertical() -> dict[str, Any]:
    return {
        "animation": False,
        "grid": {"left": 46, "right": 8, "top": 10, "bottom": 24},
        "tooltip": {"trigger": "axis"},
        "xAxis": _axis("category", data=[]),
        "yAxis": _axis("value", min=0),
        "series": [
            {"type": "bar", "data": [], "name": "loss", "itemStyle": {"color": OTHER}},
            {
                "type": "scatter",
                "data": [],
                "name": "the other way",
                "symbolSize": 6,
                "itemStyle": {"color": NEAR},
            },
        ],
    }
