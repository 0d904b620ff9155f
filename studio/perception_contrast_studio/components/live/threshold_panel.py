"""The threshold of detections beside a histogram of the scores that came lately."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from nicegui import ui
from nicegui.events import ValueChangeEventArguments

from perception_contrast.core.errors import PerceptionError
from perception_contrast_studio.robot.frame_hub import FrameHub
from perception_contrast_studio.robot.label_colours import css
from perception_contrast_studio.robot.live_camera import LiveCamera
from perception_contrast_studio.server.studio_page import Visit

BINS = 25
MOST_LABELS = 8
DRAW_SECONDS = 1.0
PARAMETER = "detection_threshold"


def histogram(scores: Mapping[str, Sequence[float]]) -> dict[str, list[int]]:
    """Counts of scores in BINS equal bins from 0 to 1, of the labels with most scores."""
    largest = sorted(scores, key=lambda label: -len(scores[label]))[:MOST_LABELS]
    return {
        label: np.histogram(np.asarray(scores[label], np.float64), BINS, (0.0, 1.0))[0].tolist()
        for label in largest
    }


class ThresholdPanel:
    """Sets ``detection_threshold`` and shows what it cuts off.

    Args:
        visit: The visitor's view.
        hub: What visitors share.
        camera: Gives the camera that is shown.
    """

    def __init__(self, visit: Visit, hub: FrameHub, camera: Callable[[], LiveCamera]) -> None:
        self._visit, self._hub, self._camera = visit, hub, camera
        self._setting = False
        with ui.row().classes("items-center full-width no-wrap"):
            ui.label("Threshold").classes("text-subtitle1 text-weight-medium")
            ui.space()
            self._value = ui.label().classes("text-caption").props("data-testid=threshold")
        self._slider = ui.slider(min=0.0, max=1.0, step=0.01, value=0.0)
        self._slider.props('label aria-label="Lowest probability of a detection; 0 is the model\'s own"')
        self._slider.on_value_change(self._changed)
        self._slider.on("change", visit.changes(self._set, instead=self._read))
        self._chart = ui.echart(_options()).classes("full-width").style("height: 150px")
        self._chart.props('role=img aria-label="Histogram of recent scores"')
        self._empty = ui.label("Scores of what is found appear here.").classes("text-caption")
        self._timer = ui.timer(DRAW_SECONDS, self._draw)
        hub.listeners.append(self._read)
        visit.on_leave(self._forget)
        self._read()

    def _read(self) -> None:
        value = self._hub.parameters.get(PARAMETER)
        if isinstance(value, int | float) and value != self._slider.value:
            self._setting = True
            self._slider.value = float(value)
            self._setting = False
        self._tell()

    def _tell(self) -> None:
        value = float(self._slider.value or 0.0)
        self._value.text = f"at least {value:.2f}" if value else "the model's own"

    def _changed(self, _: ValueChangeEventArguments[Any]) -> None:
        self._tell()

    async def _set(self) -> None:
        """When the slider is let go."""
        client = await self._hub.client()
        try:
            await client.start.parameters.set({PARAMETER: float(self._slider.value or 0.0)})
        except (PerceptionError, asyncio.TimeoutError) as error:
            ui.notify(str(error), type="warning", multi_line=True)
            self._read()

    def _draw(self) -> None:
        counts = histogram({label: list(one) for label, one in self._camera().scores.items() if one})
        self._chart.visible, self._empty.visible = bool(counts), not counts
        if not counts:
            return
        options = self._chart.options
        series = [
            _series(label, values, css(self._hub.colours.of(label))) for label, values in counts.items()
        ]
        series[0]["markLine"] = _mark(float(self._slider.value or 0.0))
        options["series"] = series
        self._chart.update()

    def _forget(self) -> None:
        self._timer.deactivate()
        with suppress(ValueError):
            self._hub.listeners.remove(self._read)


def _series(label: str, values: list[int], colour: str) -> dict[str, Any]:
    return {
        "name": label,
        "type": "bar",
        "stack": "scores",
        "barCategoryGap": "5%",
        "data": [[round((at + 0.5) / BINS, 3), count] for at, count in enumerate(values)],
        "itemStyle": {"color": colour},
    }


def _mark(threshold: float) -> dict[str, Any]:
    return {
        "silent": True,
        "symbol": "none",
        "animation": False,
        "label": {"show": False},
        "lineStyle": {"color": "#d55e00", "width": 2, "type": "solid"},
        "data": [{"xAxis": threshold}] if threshold else [],
    }


def _options() -> dict[str, Any]:
    text = {"color": "#808080"}
    lines = {"lineStyle": {"color": "rgba(128, 128, 128, .3)"}}
    return {
        "animation": False,
        "grid": {"left": 40, "right": 12, "top": 26, "bottom": 24},
        "legend": {"type": "scroll", "top": 0, "textStyle": text, "itemHeight": 8, "itemWidth": 12},
        "tooltip": {"trigger": "axis"},
        "xAxis": {"type": "value", "min": 0, "max": 1, "axisLabel": text, "splitLine": lines},
        "yAxis": {"type": "value", "minInterval": 1, "axisLabel": text, "splitNumber": 3, "splitLine": lines},
        "series": [],
    }
