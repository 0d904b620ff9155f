"""Tables of images and captions: CSV, JSON lines or Parquet, with a column of paths and one of texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.data.datasets.samples import (
    UNKNOWN,
    Sample,
    Transform,
    image_tensor,
    in_range,
    no_pose,
)
from perception_contrast_training.data.datasets.table_rows import TEXT_COLUMNS, read_rows

TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
PATH_COLUMNS = ("path", "image", "image_path", "file", "file_name", "filename", "filepath")
CLASS_COLUMNS = ("class", "label")


class TableDataset:
    """An image and its caption a row; paths are relative to the table's folder.

    The column of paths is the first of ``PATH_COLUMNS`` that is there, that of captions the first of
    ``TEXT_COLUMNS`` (it may be missing), that of classes the first of ``CLASS_COLUMNS``. A row without a
    path is refused by its number. Raises PerceptionError.
    """

    def __init__(self, path: Path | str, *, transform: Transform | None = None) -> None:
        self.path = Path(path)
        self.transform = transform
        rows = read_rows(self.path)
        if not rows:
            raise PerceptionError(f"table '{self.path}' has no rows")
        column = _column(rows[0], PATH_COLUMNS)
        if column is None:
            raise PerceptionError(
                f"table '{self.path}' has no column of image paths; it has {', '.join(rows[0])}. "
                f"Name it one of: {', '.join(PATH_COLUMNS)}"
            )
        text, kind = _column(rows[0], TEXT_COLUMNS), _column(rows[0], CLASS_COLUMNS)
        self.names = tuple(_path(row, column, number, self.path) for number, row in enumerate(rows, 1))
        self.texts = tuple("" if text is None else str(row.get(text) or "").strip() for row in rows)
        named = [None if kind is None else row.get(kind) for row in rows]
        self.classes = tuple(sorted({str(one) for one in named if one not in (None, "")}))
        numbers = {name: number for number, name in enumerate(self.classes)}
        self.labels = tuple(UNKNOWN if one in (None, "") else numbers[str(one)] for one in named)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        index = in_range(index, len(self))
        name = self.names[index]
        try:
            data = (self.path.parent / name).read_bytes()
        except OSError as error:
            raise PerceptionError(
                f"row {index + 1} of '{self.path}' names image '{name}', which cannot be read: "
                f"{error.strerror or error}"
            ) from error
        image = image_tensor(data, name)
        return Sample(
            image=image if self.transform is None else self.transform(image),
            text=self.texts[index],
            stamp=UNKNOWN,
            pose=no_pose(),
            group=max(self.labels[index], 0),
            label=self.labels[index],
            index=index,
            key=f"{index:08d}",
        )


def _column(row: Mapping[str, Any], names: Iterable[str]) -> str | None:
    lower = {name.strip().lower(): name for name in row}
    return next((lower[name] for name in names if name in lower), None)


def _path(row: Mapping[str, Any], column: str, number: int, table: Path) -> str:
    value = row.get(column)
    if not isinstance(value, str) or not value:
        raise PerceptionError(f"row {number} of '{table}' has no '{column}'; give it a path or remove it")
    return value
