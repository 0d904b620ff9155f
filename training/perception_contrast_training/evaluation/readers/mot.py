"""A folder as MOTChallenge has them: img1/ with images and gt/gt.txt with boxes (Milan et al., MOT16)."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from perception_contrast.core.errors import PerceptionError
from perception_contrast.recordings.image_folder import ImageFolderSource
from perception_contrast_training.evaluation.readers.types import Skipped, Thing, ThingsImage

COLUMNS = 8  # frame, id, x, y, width, height, counts, class; frames and pixels are counted from 1


class MotFolder:
    """One sequence. names: of the classes, in the order of their numbers from 1. Raises PerceptionError.

    Rows whose seventh column is 0, and those of classes without a name, count neither for nor against.
    """

    def __init__(self, folder: Path, names: Sequence[str], skipped: Skipped, limit: int = 0) -> None:
        self.folder, self.names, self._skipped = folder, tuple(names), skipped
        source = ImageFolderSource(folder / "img1")
        skipped.files.update(source.lost)
        self.files = source.files[: limit or None]
        self._numbers = _numbers(source)[: limit or None]
        self._rows = _rows(folder / "gt" / "gt.txt")

    def __len__(self) -> int:
        return len(self.files)

    def __iter__(self) -> Iterator[ThingsImage]:
        for number, file in zip(self._numbers, self.files, strict=True):
            image = self._skipped.image(file)
            if image is None:
                continue
            size = (int(image.shape[0]), int(image.shape[1]))
            things = tuple(self._thing(row, size) for row in self._rows.get(number, ()))
            yield ThingsImage(file.name, image, things)

    def _thing(self, row: tuple[float, ...], size: tuple[int, int]) -> Thing:
        number, kind = int(row[1]), int(row[7])
        known = 1 <= kind <= len(self.names)
        mask = np.zeros(size, bool)
        left, top = round(row[2] - 1), round(row[3] - 1)
        bottom, right = round(row[3] - 1 + row[5]), round(row[2] - 1 + row[4])
        mask[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = True
        name = self.names[kind - 1] if known else ""
        return Thing((name,), mask, str(number), ignored=row[6] == 0 or not known)


def _numbers(source: ImageFolderSource) -> list[int]:
    """Of the frames in gt.txt: the files' names where all are numbers from 1 on, else their places."""
    named = [int(file.stem) for file in source.files if file.stem.isdecimal()]
    usual = len(named) == len(source.files) and min(named) >= 1
    return named if usual else [number + 1 for number in source.numbers]


def is_mot(folder: Path) -> bool:
    """Whether a folder is laid out so."""
    return (folder / "gt" / "gt.txt").is_file() and (folder / "img1").is_dir()


def _rows(path: Path) -> dict[int, list[tuple[float, ...]]]:
    """Rows of a gt.txt by frame."""
    rows: dict[int, list[tuple[float, ...]]] = defaultdict(list)
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = tuple(float(value) for value in line.split(","))
        except ValueError:
            row = ()
        if len(row) < COLUMNS or not all(map(math.isfinite, row)):
            raise PerceptionError(
                f"line {number} of '{path}' is '{line[:40]}'; it needs {COLUMNS} numbers: frame, id, x, y, "
                "width, height, counts, class"
            )
        rows[int(row[0])].append(row)
    return rows
