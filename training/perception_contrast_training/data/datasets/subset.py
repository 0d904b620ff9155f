"""Some of a data set's pictures as a data set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_contrast_training.data.datasets.samples import Pictures


class Chosen:
    """The pictures at ``indices``, in that order. stamps, groups: of those, where the data set knows them."""

    def __init__(self, pictures: Pictures, indices: Sequence[int] | NDArray[np.int64]) -> None:
        self.pictures, self.indices = pictures, np.asarray(indices, np.int64)
        self.classes: tuple[str, ...] = tuple(getattr(pictures, "classes", ()))
        for name in ("stamps", "groups"):
            known = getattr(pictures, name, None)
            if known is not None:
                setattr(self, name, np.asarray(known)[self.indices])

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int, /) -> Any:
        return self.pictures[int(self.indices[index])]


def evenly(pictures: Pictures, most: int) -> Pictures:
    """At most ``most`` of the pictures, spread evenly; 0 for all."""
    if not most or len(pictures) <= most:
        return pictures
    return Chosen(pictures, np.linspace(0, len(pictures) - 1, most).round().astype(np.int64))


def captioned(pictures: Pictures) -> Pictures:
    """Those that have a text; none of a data set that knows no texts."""
    texts = _texts(pictures)
    if texts is None:
        return Chosen(pictures, [])
    having = np.flatnonzero([bool(text) for text in texts])
    return pictures if len(having) == len(pictures) else Chosen(pictures, having)


def _texts(pictures: Any) -> Sequence[Any] | None:
    if hasattr(pictures, "texts"):
        found: Sequence[Any] = pictures.texts
        return found
    rows = getattr(pictures, "rows", None)
    return None if rows is None else rows["texts"].to_pylist()
