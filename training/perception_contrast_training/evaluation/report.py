"""What an evaluation says: tables for people, figures for programs, images to look at."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.cache import atomic_write
from perception_contrast.core.errors import PerceptionError
from perception_contrast.images.files import save_image

Cell = str | float | int | None


@dataclass(frozen=True)
class Table:
    """rows: a cell for each heading; numbers that are missing are shown as "-"."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[Cell]]


@dataclass
class Outcome:
    """What a task found. figures: as docs/evaluate.md names them. images: file name to (H, W, 3) RGB.

    notes: what a reader must know to take the figures rightly, a sentence each.
    """

    figures: dict[str, Any]
    tables: list[Table]
    images: dict[str, NDArray[np.uint8]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def markdown(outcome: Outcome) -> str:
    """All tables, then the notes."""
    parts = [f"## {table.title}\n\n{_rows(table)}" for table in outcome.tables]
    if outcome.notes:
        parts.append("\n".join(f"- {note}" for note in outcome.notes))
    return "\n\n".join(parts)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Atomically; numbers that are none become null. Raises PerceptionError."""
    try:
        atomic_write(path, (json.dumps(plain(content), indent=2, allow_nan=False) + "\n").encode())
    except OSError as error:
        raise PerceptionError(f"{path} cannot be written: {error}") from error


def write_images(folder: Path, outcome: Outcome) -> list[Path]:
    """Every image of the outcome as a file. Raises PerceptionError."""
    paths = [folder / name for name in outcome.images]
    try:
        for path, image in zip(paths, outcome.images.values(), strict=True):
            save_image(path, image)
    except OSError as error:
        raise PerceptionError(f"{folder} cannot be written: {error}") from error
    return paths


def plain(value: Any) -> Any:
    """The same with lists, plain numbers rounded to six places, and None for nan."""
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, float | np.floating):
        return round(float(value), 6) if math.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value


def _rows(table: Table) -> str:
    lines = [list(table.headings), *([_text(cell) for cell in row] for row in table.rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(table.headings))]
    numeric = [column > 0 for column in range(len(widths))]
    shown = [_line(line, widths, numeric) for line in lines]
    rule = [
        ("-" * (width - 1) + ":") if right else "-" * width
        for width, right in zip(widths, numeric, strict=True)
    ]
    return "\n".join([shown[0], f"| {' | '.join(rule)} |", *shown[1:]])


def _line(cells: Sequence[str], widths: Sequence[int], numeric: Sequence[bool]) -> str:
    padded = [
        cell.rjust(width) if right else cell.ljust(width)
        for cell, width, right in zip(cells, widths, numeric, strict=True)
    ]
    return f"| {' | '.join(padded)} |"


def _text(cell: Cell) -> str:
    if cell is None or (isinstance(cell, float) and not math.isfinite(cell)):
        return "-"
    return f"{cell:.3f}" if isinstance(cell, float) else str(cell).replace("|", "\\|")
