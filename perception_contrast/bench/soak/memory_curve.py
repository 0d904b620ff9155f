"""Memory over configurations: how it grows, a table and a curve."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from perception_contrast.bench.plot import INK, MARGIN, OURS, PAPER, SOFT, STAGE, WHOLE, chart_font
from perception_contrast.core.cache import atomic_write

CERTAINTY = 2.0  # standard errors
SIZE, LEFT, RIGHT, TOP, BOTTOM = (1200, 640), 110, 30, 130, 90


@dataclass(frozen=True)
class MemoryReading:
    """One configuration and the memory after it.

    Attributes:
        number: from 0; negative while caches fill.
        model: its name.
        engine: its kind and precision as they were asked for.
        serving: the kinds and precisions that serve; "auto" may choose others each time.
        how: "parameters" (the models replaced others that served) or "lifecycle" (released before).
        resident_mb: after what was freed went back to the system.
        allocated_mb: in use by malloc's account; without fragments, caches of Python and libraries.
        python_blocks: number of blocks of Python's small objects, which are in no account of malloc's.
        threads: of Python.
        seconds: from the change to the first result, and of the storm after it.
    """

    number: int
    model: str
    engine: str
    serving: str
    how: str
    resident_mb: float
    allocated_mb: float
    python_blocks: int
    threads: int
    seconds: float


@dataclass(frozen=True)
class Slope:
    """What a configuration adds to a field, and the standard error of that.

    Attributes:
        value: of the field's unit, a configuration.
        error: likewise; infinite where there are no more readings than unknowns.
    """

    value: float
    error: float

    @property
    def least(self) -> float:
        """What it certainly is."""
        return self.value - CERTAINTY * self.error


def slope(readings: Sequence[MemoryReading], field: str, *, stepped: bool = False) -> Slope:
    """What a configuration adds to a field, by least squares.

    Models and engines take different memory, so each kind of them is compared with itself: the mean of its
    readings is subtracted from them and from their numbers.

    Args:
        readings: at least two of one kind.
        field: of the readings.
        stepped: one step up that all kinds have in common, wherever it explains most, is no slope. So does
            a table of the interpreter that doubles once: its names take 3.7 MB more from then on. A leak
            grows in every round.

    Raises:
        ValueError: no kind was read twice.
    """
    number = np.array([one.number for one in readings], float)
    memory = _within_kinds(readings, np.array([float(getattr(one, field)) for one in readings]))
    along = _within_kinds(readings, number)
    if not along.any():
        raise ValueError("each model was read on each engine once alone; a slope needs two readings")
    designs = [along[:, None]]
    if stepped:
        steps = (_within_kinds(readings, (number >= start).astype(float)) for start in number[1:])
        designs += [np.stack([along, step], axis=1) for step in steps]
    kinds = len({_kind(one) for one in readings})
    fits = [_fit(design, memory, kinds) for design in designs]
    return min((fit for fit in fits if fit is not None), key=lambda fit: fit[0])[1]


def _kind(one: MemoryReading) -> tuple[str, str, str]:
    return one.model, one.engine, one.serving


def _within_kinds(readings: Sequence[MemoryReading], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values less the mean of those of their kind."""
    _, row = np.unique([" on ".join(_kind(one)) for one in readings], return_inverse=True)
    centred: NDArray[np.float64] = values - (np.bincount(row, values) / np.bincount(row))[row]
    return centred


def _fit(design: NDArray[np.float64], memory: NDArray[np.float64], kinds: int) -> tuple[float, Slope] | None:
    """Squares that a fit leaves over, and its slope; None where a step is not told from it or leads down."""
    unknowns = design.shape[1]
    found, _, rank, _ = np.linalg.lstsq(design, memory, rcond=1e-9)
    if rank < unknowns or (found[1:] < 0.0).any():
        return None
    rest = memory - design @ found
    left, freedom = float(rest @ rest), len(memory) - kinds - unknowns
    variance = left / freedom if freedom > 0 else np.inf
    error = float(np.sqrt(variance * np.linalg.inv(design.T @ design)[0, 0]))
    return left, Slope(float(found[0]), error)


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
