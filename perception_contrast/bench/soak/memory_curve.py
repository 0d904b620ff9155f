"""Memory over configurations: its slope, a table and a curve."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from perception_contrast.bench.plot import INK, MARGIN, OURS, PAPER, SOFT, STAGE, WHOLE, chart_font
from perception_contrast.core.cache import atomic_write

SIZE, LEFT, RIGHT, TOP, BOTTOM = (1200, 640), 110, 30, 130, 90


@dataclass(frozen=True)
class MemoryReading:
    """One configuration and the memory after it.

    Attributes:
        number: from 0; negative while caches fill.
        model: its name.
        engine: its kind and precision as they were asked for.
        how: "parameters" (the models replaced others that served) or "lifecycle" (released before).
        resident_mb: after what was freed went back to the system.
        allocated_mb: in use by malloc's account; without fragments, caches of Python and libraries.
        threads: of Python.
        seconds: from the change to the first result, and of the storm after it.
    """

    number: int
    model: str
    engine: str
    how: str
    resident_mb: float
    allocated_mb: float
    threads: int
    seconds: float


def slope(readings: Sequence[MemoryReading], field: str = "resident_mb") -> float:
    """MB that a configuration adds to a field, by least squares.

    Models and engines take different memory, so each pair of them is compared with itself: its mean is
    subtracted from its readings and from their numbers.

    Raises:
        ValueError: no pair was read twice.
    """
    kinds = [(one.model, one.engine) for one in readings]
    memory = np.array([float(getattr(one, field)) for one in readings])
    number = np.array([one.number for one in readings], float)
    for kind in set(kinds):
        rows = np.array([one == kind for one in kinds])
        memory[rows] -= memory[rows].mean()
        number[rows] -= number[rows].mean()
    spread = float(number @ number)
    if not spread:
        raise ValueError("each model was read on each engine once alone; a slope needs two readings")
    return float(number @ memory) / spread


def write_csv(readings: Sequence[MemoryReading], path: Path) -> None:
    """A row for each reading."""
    text = io.StringIO()
    table = csv.DictWriter(text, [field.name for field in fields(MemoryReading)], lineterminator="\n")
    table.writeheader()
    table.writerows(asdict(one) for one in readings)
    atomic_write(path, text.getvalue().encode())


def write_curve(readings: Sequence[MemoryReading], path: Path, title: str) -> None:
    """A PNG of the memory over the configurations, a colour for each model."""
    packed = io.BytesIO()
    draw_curve(readings, title).save(packed, format="PNG", optimize=True)
    atomic_write(path, packed.getvalue())


def draw_curve(readings: Sequence[MemoryReading], title: str) -> Image.Image:
    """RGB of SIZE; the axis of memory begins at 0, so that a plateau looks like one."""
    image = Image.new("RGB", SIZE, PAPER)
    pen = ImageDraw.Draw(image)
    pen.text((MARGIN, 24), title, INK, font=chart_font(20))
    models = sorted({one.model for one in readings})
    colours = dict(zip(models, (STAGE, OURS), strict=False))
    for index, (model, colour) in enumerate(colours.items()):
        x = MARGIN + 260 * index
        pen.ellipse((x, 78, x + 12, 90), fill=colour)
        pen.text((x + 20, 84), model, SOFT, font=chart_font(18), anchor="lm")
    highest = 1.15 * max(one.resident_mb for one in readings)
    first, last = readings[0].number, max(readings[-1].number, readings[0].number + 1)

    def at(number: float, megabytes: float) -> tuple[float, float]:
        x = LEFT + (SIZE[0] - LEFT - RIGHT) * (number - first) / (last - first)
        return x, SIZE[1] - BOTTOM - (SIZE[1] - TOP - BOTTOM) * megabytes / highest

    _axes(pen, at, first, last, highest)
    pen.line([at(one.number, one.allocated_mb) for one in readings], fill=WHOLE, width=2)
    points = [at(one.number, one.resident_mb) for one in readings]
    pen.line(points, fill=SOFT, width=2)
    for one, (across, down) in zip(readings, points, strict=True):
        pen.ellipse((across - 5, down - 5, across + 5, down + 5), fill=colours.get(one.model, INK))
    return image


def _axes(pen: ImageDraw.ImageDraw, at: Any, first: int, last: int, highest: float) -> None:
    small, step = chart_font(17), max(50, round(highest / 6 / 50) * 50)
    for megabytes in range(0, int(highest) + 1, step):
        start, end = at(first, megabytes), at(last, megabytes)
        pen.line((*start, *end), fill=(228, 230, 234))
        pen.text((start[0] - 10, start[1]), f"{megabytes} MB", SOFT, font=small, anchor="rm")
    for number in range(first - first % 5, last + 1, 5):
        if number >= first:
            left, bottom = at(number, 0)
            pen.text((left, bottom + 14), str(number), SOFT, font=small, anchor="mm")
    if first < 0:
        pen.line((*at(0, 0), *at(0, highest)), fill=SOFT)
    words = "configuration (negative: caches fill); dots: resident after malloc_trim; below: in use"
    pen.text((SIZE[0] / 2, SIZE[1] - 34), words, SOFT, font=small, anchor="mm")
