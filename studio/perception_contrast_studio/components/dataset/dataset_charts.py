"""Charts of a dataset: when frames were kept, where the camera was, how sharp and bright they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_contrast_studio.components.dataset.dataset_frames import (
    NANOSECONDS,
    NO_PART,
    DatasetFrames,
    LeftOutFrames,
)
from perception_contrast_studio.components.runs.run_charts import COLOURS, INK, LINES

MOST_LANES = 24
BINS = 700
MOST_PLACES = 4000
PLAN_ASPECT = 1.7
BARS = 40
GREY = "#9a9a9a"
_TEXT = {"axisLabel": {"color": INK}, "nameTextStyle": {"color": INK}}


def groups(frames: DatasetFrames) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    """Name, colour and members of what frames are told apart by: duplicates, then parts."""
    twice = frames.duplicates
    if not frames.part_names:
        yield "kept", COLOURS[0], ~twice
    for number, name in enumerate(frames.part_names):
        colour = GREY if name == "unused" else COLOURS[number % len(COLOURS)]
        yield name, colour, (frames.parts == number) & ~twice
    if frames.part_names and ((frames.parts == NO_PART) & ~twice).any():
        yield "without a part", GREY, (frames.parts == NO_PART) & ~twice
    if twice.any():
        yield "near-duplicate", "#cc79a7", twice


def lane_name(lane: tuple[str, str]) -> str:
    """Recording and topic; of images in folders the folder."""
    return " ".join(part for part in lane if part)


def timeline_options(frames: DatasetFrames, left_out: LeftOutFrames | None) -> dict[str, Any] | None:
    """Frames over time, a row for each camera of a recording; None where no times are known."""
    seconds = frames.seconds()
    if not np.isfinite(seconds).any():
        return None
    busiest = np.argsort(-np.bincount(frames.lane, minlength=len(frames.lanes)), kind="stable")
    shown = {int(lane): row for row, lane in enumerate(sorted(busiest[:MOST_LANES].tolist()))}
    rows = np.array([shown.get(number, -1) for number in range(len(frames.lanes))])[frames.lane]
    width = max(1e-6, float(np.nanmax(seconds))) / BINS
    series = [
        _marks(name, colour, _thinned(seconds[members], rows[members], width), "rect", 0)
        for name, colour, members in groups(frames)
    ]
    if left_out is not None:
        series += _left_out_marks(frames, left_out, shown, width)
    names = [lane_name(frames.lanes[lane]) for lane in shown]
    return {
        "animation": False,
        "aria": {"enabled": True},
        "grid": {"left": 12, "right": 20, "top": 44, "bottom": 30, "containLabel": True},
        "legend": {"type": "scroll", "top": 0, "textStyle": {"color": INK}, "pageTextStyle": {"color": INK}},
        "tooltip": {"trigger": "item", "confine": True},
        "dataZoom": [{"type": "inside"}],
        "xAxis": {
            "type": "value",
            "name": "seconds since the recording's first frame",
            "nameLocation": "middle",
            "nameGap": 26,
            "splitLine": {"lineStyle": {"color": LINES}},
            **_TEXT,
        },
        "yAxis": {
            "type": "category",
            "data": names,
            "inverse": True,
            "axisLabel": {"color": INK, "width": 170, "overflow": "breakAll", "lineHeight": 14},
        },
        "series": series,
    }


def timeline_height(frames: DatasetFrames) -> int:
    """CSS pixels."""
    return 110 + 46 * min(MOST_LANES, max(1, len(frames.lanes)))


def _thinned(seconds: NDArray[np.float64], rows: NDArray[np.int64], width: float) -> list[list[float]]:
    """One mark for each bin of time in each row."""
    known = np.isfinite(seconds) & (rows >= 0)
    cells = np.unique(np.column_stack([np.floor(seconds[known] / width), rows[known]]), axis=0)
    return [[round(float(cell) * width, 3), int(row)] for cell, row in cells]


def _left_out_marks(
    frames: DatasetFrames, left_out: LeftOutFrames, shown: dict[int, int], width: float
) -> list[dict[str, Any]]:
    """Below the kept ones."""
    lanes = {lane: number for number, lane in enumerate(frames.lanes)}
    begins = {
        bag: int(frames.stamps[np.isin(frames.lane, own)].min())
        for bag in {bag for bag, _ in frames.lanes}
        if (own := [number for number, lane in enumerate(frames.lanes) if lane[0] == bag])
    }
    of = [lanes.get(lane, -1) for lane in left_out.lanes]
    rows = np.array([shown.get(number, -1) for number in of], np.int64)[left_out.lane]
    begin = np.array([begins.get(bag, 0) for bag, _ in left_out.lanes], np.int64)[left_out.lane]
    seconds = (left_out.stamps - begin) / NANOSECONDS
    series = []
    for number, reason in enumerate(left_out.reasons):
        own = left_out.reason == number
        colour = COLOURS[(number + 1) % len(COLOURS)]
        marks = _thinned(seconds[own], rows[own], width)
        series.append(_marks(f"left out: {reason}", colour, marks, "triangle", 15))
    return series


def _marks(name: str, colour: str, data: list[list[float]], symbol: str, offset: int) -> dict[str, Any]:
    return {
        "type": "scatter",
        "name": name,
        "data": data,
        "symbol": symbol,
        "symbolSize": [4, 16] if symbol == "rect" else [7, 7],
        "symbolOffset": [0, offset],
        "itemStyle": {"color": colour},
    }


def plan_options(frames: DatasetFrames) -> dict[str, Any] | None:
    """Where the camera was, from above; None without poses.

    The plane is that of the two axes along which the camera moved most: the ground, for a robot on wheels.
    """
    known = np.isfinite(frames.positions).all(axis=1)
    if not known.any():
        return None
    spans = np.ptp(frames.positions[known], axis=0)
    first, second = sorted(np.argsort(-spans, kind="stable")[:2].tolist())
    series = []
    for name, colour, members in groups(frames):
        own = np.flatnonzero(members & known)
        step = max(1, -(-len(own) // MOST_PLACES))
        places = frames.positions[own[::step]][:, [first, second]]
        series.append(
            {
                "type": "scatter",
                "name": name,
                "symbolSize": 6,
                "itemStyle": {"color": colour, "opacity": 0.8},
                "data": [[round(float(x), 3), round(float(y), 3)] for x, y in places],
            }
        )
    middle = (np.min(frames.positions[known], axis=0) + np.max(frames.positions[known], axis=0)) / 2
    # A metre is about as long on both axes of a card.
    tall = 1.1 * max(float(spans[second]), float(spans[first]) / PLAN_ASPECT, 0.1)
    across, up = (
        _axis(float(middle[one]), one, span) for one, span in ((first, PLAN_ASPECT * tall), (second, tall))
    )
    return {
        "animation": False,
        "aria": {"enabled": True},
        "grid": {"left": 12, "right": 20, "top": 40, "bottom": 30, "containLabel": True},
        "legend": {"type": "scroll", "top": 0, "textStyle": {"color": INK}, "pageTextStyle": {"color": INK}},
        "tooltip": {"trigger": "item", "confine": True},
        "xAxis": across,
        "yAxis": up,
        "series": series,
    }


def _axis(middle: float, number: int, span: float) -> dict[str, Any]:
    return {
        "type": "value",
        "name": f"{'xyz'[number]} (m)",
        "nameLocation": "middle",
        "nameGap": 30,
        "min": round(middle - span / 2, 1),
        "max": round(middle + span / 2, 1),
        "axisLine": {"onZero": False},
        "splitLine": {"lineStyle": {"color": LINES}},
        **_TEXT,
    }


def histogram_options(
    values: NDArray[np.float32], title: str, limit: float | None, *, logarithmic: bool
) -> dict[str, Any] | None:
    """How often a measure has each value; None where it is not known.

    Args:
        values: (n,) with NaN for unknown ones.
        title: Name of the axis.
        limit: Drawn as a line.
        logarithmic: Whether bars are equally wide on a logarithmic scale.
    """
    known = values[np.isfinite(values)].astype(np.float64)
    if not len(known):
        return None
    shown = np.log10(np.maximum(known, 0.1)) if logarithmic else known
    counts, edges = np.histogram(shown, bins=min(BARS, max(1, len(known))))
    middles = (edges[:-1] + edges[1:]) / 2
    labels = [f"{10**one if logarithmic else one:.3g}" for one in middles]
    bar: dict[str, Any] = {
        "type": "bar",
        "name": "frames",
        "data": counts.tolist(),
        "barCategoryGap": "4%",
        "itemStyle": {"color": COLOURS[0]},
    }
    at = None if limit is None else float(np.log10(max(limit, 0.1)) if logarithmic else limit)
    if at is not None and edges[0] <= at <= edges[-1]:
        bar["markLine"] = {
            "symbol": "none",
            "label": {"show": False},
            "lineStyle": {"color": COLOURS[3], "type": "dashed", "width": 2},
            "data": [{"xAxis": max(0, int(np.searchsorted(edges, at)) - 1)}],
        }
    return {
        "animation": False,
        "aria": {"enabled": True},
        "grid": {"left": 12, "right": 20, "top": 26, "bottom": 30, "containLabel": True},
        "tooltip": {"trigger": "axis", "confine": True},
        "xAxis": {
            "type": "category", "data": labels, "name": title, "nameLocation": "middle", "nameGap": 26,
            **_TEXT,
        },
        "yAxis": {"type": "value", "splitLine": {"lineStyle": {"color": LINES}}, **_TEXT},
        "series": [bar],
    }  # fmt: skip
