"""Several data sets as one: a robot's recordings beside folders of photographs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from perception_contrast_training.data.datasets.samples import UNKNOWN, Images, in_range
from perception_contrast_training.data.datasets.subset import image_names, left_out_files


class Joined:
    """All images of some data sets, in their order. Classes of one mean nothing in another: there are none.

    names: within the whole; the number of the data set stands before each.
    """

    classes: tuple[str, ...] = ()

    def __init__(self, parts: Sequence[Images]) -> None:
        self._parts = list(parts)
        self._ends = np.cumsum([len(part) for part in self._parts])
        self.left_out = tuple(line for part in self._parts for line in left_out_files(part))

    @property
    def names(self) -> list[str]:
        return [f"{number}/{name}" for number, part in enumerate(self._parts) for name in image_names(part)]

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def __getitem__(self, index: int, /) -> Any:
        place = in_range(index, len(self))
        number = int(np.searchsorted(self._ends, place, side="right"))
        part = self._parts[number]
        sample = part[place - int(self._ends[number]) + len(part)]
        key = f"{number}/{sample['key']}"
        return {**sample, "index": place, "key": key, "group": UNKNOWN, "label": UNKNOWN}
