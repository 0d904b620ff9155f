"""Colours and shapes of points, and the legend that explains them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

import numpy as np
from numpy.typing import NDArray

from perception_contrast_studio.points.point_set import PointSet

WAYS = ("label", "time", "bag", "cluster", "none")
# Okabe and Ito's colours without black, which a dark page would hide.
HUES = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#9a8c00", "#7a5195")
# As the shader draws them, from 1 on: more classes than colours differ by shape.
SHAPES = ("●", "■", "▲", "◆", "✚")
GREY = "#8c8c8c"
# Control points of viridis, dark to light.
_VIRIDIS = ("#440154", "#414487", "#2a788e", "#22a884", "#7ad151", "#fde725")
UNLABELLED = "none"
_NANOSECONDS = 1_000_000_000


@dataclass(frozen=True)
class LegendEntry:
    """A line of the legend.

    Attributes:
        number: Of the group; -1 for points that are in none.
        text: Name of the group.
        count: Its points.
        colour: "#rrggbb".
        shape: A character that looks like its points.
    """

    number: int
    text: str
    count: int
    colour: str
    shape: str


def ways_of(points: PointSet) -> list[str]:
    """Ways to colour that tell anything about these points."""
    possible = {
        "label": bool(len(points.classes)),
        "time": points.has_times,
        "bag": len(points.bag_names) > 0,
        "cluster": True,
        "none": True,
    }
    return [way for way in WAYS if possible[way]]


def group_style(number: int) -> tuple[str, int]:
    """Colour and shape, from 1 on, of a group."""
    if number < 0:
        return GREY, 1
    return HUES[number % len(HUES)], 1 + number // len(HUES) % len(SHAPES)


def legend_of(groups: NDArray[np.int32], names: Sequence[str]) -> list[LegendEntry]:
    """The groups that have points, the largest first; those without a group last."""
    counts = np.bincount(groups + 1, minlength=len(names) + 1)
    entries = []
    for number in sorted(range(len(names)), key=lambda one: -int(counts[one + 1])):
        if counts[number + 1]:
            colour, shape = group_style(number)
            text = str(names[number])
            entries.append(LegendEntry(number, text, int(counts[number + 1]), colour, SHAPES[shape - 1]))
    if counts[0]:
        entries.append(LegendEntry(-1, UNLABELLED, int(counts[0]), GREY, SHAPES[0]))
    return entries


def group_colours(groups: NDArray[np.int32], hidden: set[int]) -> NDArray[np.uint8]:
    """(n, 4) uint8 of groups (n,): RGB and the shape, 0 for those that are hidden."""
    largest = int(groups.max(initial=-1))
    table = np.zeros((largest + 2, 4), np.uint8)
    for number in range(-1, largest + 1):
        colour, shape = group_style(number)
        table[number + 1] = (*_rgb(colour), 0 if number in hidden else shape)
    return np.ascontiguousarray(table[groups + 1])


def time_colours(stamps: NDArray[np.int64]) -> NDArray[np.uint8]:
    """(n, 4) uint8 by time, from dark to light; grey for points without one."""
    known = stamps >= 0
    shares = np.zeros(len(stamps))
    if known.any():
        low, high = stamps[known].min(), stamps[known].max()
        shares = np.clip((stamps - low) / max(1, int(high - low)), 0.0, 1.0)
    stops = np.array([_rgb(colour) for colour in _VIRIDIS], np.float64)
    at = np.linspace(0.0, 1.0, len(stops))
    colours = np.ones((len(stamps), 4), np.uint8)
    for channel in range(3):
        colours[:, channel] = np.interp(shares, at, stops[:, channel]).round()
    colours[~known, :3] = _rgb(GREY)
    return colours


def time_gradient() -> str:
    """The scale of ``time_colours`` as CSS."""
    return f"linear-gradient(to right, {', '.join(_VIRIDIS)})"


def plain_colours(count: int) -> NDArray[np.uint8]:
    """(n, 4) uint8, all alike."""
    return np.tile(np.array([*_rgb(HUES[0]), 1], np.uint8), (count, 1))


def time_text(stamp: int) -> str:
    """Date and time in UTC; "" for none."""
    if stamp < 0:
        return ""
    moment = datetime.fromtimestamp(stamp / _NANOSECONDS, timezone.utc)
    return moment.strftime("%Y-%m-%d %H:%M:%S") + f".{stamp // 100_000_000 % 10} UTC"


def _rgb(colour: str) -> tuple[int, int, int]:
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return red, green, blue
