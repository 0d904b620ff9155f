"""Rows of CSV, TSV, JSON-lines and Parquet files. Needs no torch."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.data.datasets.manifest import read_table

TEXT_COLUMNS = ("caption", "text", "title", "description")


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a .csv, .tsv, .jsonl or .parquet. Raises PerceptionError that names the bad line."""
    if path.suffix == ".parquet":
        rows: list[dict[str, Any]] = read_table(path).to_pylist()
        return rows
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            if path.suffix == ".jsonl":
                return [_object(line, number, path) for number, line in enumerate(file, 1) if line.strip()]
            return list(_separated(file, "\t" if path.suffix == ".tsv" else ",", path))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PerceptionError(f"table '{path}' cannot be read: {error}; it must be UTF-8 text") from error


def _separated(lines: Iterable[str], delimiter: str, path: Path) -> Iterable[dict[str, Any]]:
    reader = csv.DictReader(lines, delimiter=delimiter)
    for row in reader:
        if None in row:
            raise PerceptionError(
                f"line {reader.line_num} of '{path}' has more fields than the header; quote fields "
                "that hold the delimiter"
            )
        yield row


def _object(line: str, number: int, path: Path) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError as error:
        raise PerceptionError(f"line {number} of '{path}' is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise PerceptionError(f"line {number} of '{path}' is no JSON object")
    return found
