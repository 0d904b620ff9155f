"""When things were seen: one lane for each thing, one dot for each sighting."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from nicegui import events, ui

from perception_contrast_studio.components.shared.thumbnails import Thumbnails
from perception_contrast_studio.maps.map_types import Point, Sighting
from perception_contrast_studio.maps.spoken_times import ago, is_wall_time, local
from perception_contrast_studio.server.studio_page import Visit

_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
_LANE_PIXELS, _LEAST_PIXELS, _MOST_PIXELS = 26, 170, 520
_GREY = "#8a94a0"  # readable on white and on black


class SightingTimeline:
    """A chart of sightings; the chosen one is shown beside it.

    Args:
        visit: Of the page.
        on_place: Called with the place of a sighting that is to be looked at.
    """

    def __init__(self, visit: Visit, on_place: Callable[[Point], Any]) -> None:
        self._on_place = on_place
        self._images = Thumbnails(visit)
        self._seen: tuple[Sighting, ...] = ()
        self._urls: list[str] = []
        self._now = 0
        self._title = ui.label().classes("text-body2 studio-wrap").props("role=status")
        self._chart = ui.echart({}, on_point_click=self._on_click).classes("full-width")
        self._chart.style("height: 0")
        self._chosen = ui.row().classes("full-width items-center no-wrap")

    def clear(self, hint: str) -> None:
        """Shows nothing but a hint."""
        self._show(hint, (), 0)

    def show(self, title: str, seen: Sequence[Sighting], now: int) -> None:
        """Shows sightings, the newest first."""
        if seen:
            newest, oldest = ago(seen[0].stamp, now), ago(seen[-1].stamp, now)
            title = f"{title}: {len(seen)} sightings, the last {newest}, the first shown {oldest}"
        else:
            title = f"{title}: nothing was seen"
        self._show(title, tuple(seen), now)

    def _show(self, title: str, seen: tuple[Sighting, ...], now: int) -> None:
        self._seen, self._now = seen, now
        self._images.clear()
        self._urls = [self._images.url(one.thumbnail) for one in seen]
        self._title.set_text(title)
        self._chosen.clear()
        options = chart_options(seen, self._urls)
        self._chart.options.clear()
        self._chart.options.update(options)
        lanes = len(options["yAxis"]["data"]) if seen else 0
        height = min(max(_LANE_PIXELS * lanes + 90, _LEAST_PIXELS), _MOST_PIXELS) if seen else 0
        self._chart.style(f"height: {height}px")
        self._chart.update()
        self._chart.run_chart_method("resize")

    def _on_click(self, event: events.EChartPointClickEventArguments) -> None:
        index = event.data_index
        if not 0 <= index < len(self._seen):
            return
        one, url = self._seen[index], self._urls[index]
        self._chosen.clear()
        with self._chosen:
            if url:
                image = ui.element("img").props(f'src="{url}"').style("height:84px; border-radius:6px")
                image.props["alt"] = f"Image of {one.label}"
            with ui.column().classes("map-gap-none"):
                ui.label(f"{one.label} {one.thing}, {one.score:.0%} sure").classes("text-subtitle2")
                camera = f" by the camera '{one.camera}'" if one.camera else ""
                ui.label(f"{local(one.stamp)} ({ago(one.stamp, self._now)}){camera}").classes("text-caption")
                ui.button(
                    "Show its place", icon="visibility", on_click=lambda: self._on_place(one.center)
                ).props("flat dense no-caps size=sm")


def chart_options(seen: Sequence[Sighting], urls: Sequence[str]) -> dict[str, Any]:
    """The chart; urls: of the sightings' images, "" for none.

    Times of a clock that tells no dates are seconds.
    """
    names = {thing: f"{label} {thing}" for thing, label in _usual_labels(seen).items()}
    lanes = [names[thing] for thing in dict.fromkeys(one.thing for one in reversed(seen))]
    labels = list(dict.fromkeys(one.label for one in seen))
    dates = bool(seen) and is_wall_time(seen[0].stamp)
    data = [
        _dot(one, url, lanes.index(names[one.thing]), labels, dates)
        for one, url in zip(seen, urls, strict=True)
    ]
    axis = {"axisLabel": {"color": _GREY}, "axisLine": {"lineStyle": {"color": _GREY}}}
    return {
        "grid": {"left": 8, "right": 16, "top": 12, "bottom": 56, "containLabel": True},
        "tooltip": {
            "confine": True,
            ":formatter": "p => (p.data.image ? `<img src='${p.data.image}' style='height:84px' alt=''><br>` "
            ": '') + p.data.text",
        },
        "xAxis": {
            "type": "time" if dates else "value",
            "name": "" if dates else "seconds",
            "nameLocation": "middle",
            "nameGap": 22,
            "scale": True,
            "splitLine": {"show": False},
            **axis,
        },
        "yAxis": {"type": "category", "data": lanes, "splitLine": {"show": True}, **axis},
        "dataZoom": [{"type": "slider", "height": 16, "bottom": 6}, {"type": "inside"}],
        "series": [{"type": "scatter", "symbolSize": 11, "data": data}],
        "animation": False,
        "aria": {"enabled": True},
    }


def _dot(one: Sighting, url: str, lane: int, labels: list[str], dates: bool) -> dict[str, Any]:
    words = html.escape(f"{one.label} {one.thing}, {one.score:.0%} sure, {local(one.stamp)}")
    return {
        "value": [one.stamp / 1e6 if dates else one.stamp / 1e9, lane],
        "image": url,
        "text": words,
        "itemStyle": {
            "color": _COLOURS[labels.index(one.label) % len(_COLOURS)],
            "opacity": 0.35 + 0.65 * min(max(one.score, 0.0), 1.0),
        },
    }


def _usual_labels(seen: Sequence[Sighting]) -> dict[str, str]:
    """What each thing was mostly taken for."""
    counts: dict[str, Counter[str]] = {}
    for one in seen:
        counts.setdefault(one.thing, Counter())[one.label] += 1
    return {thing: labels.most_common(1)[0][0] for thing, labels in counts.items()}
