"""Some of a data set's images as a data set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_contrast_training.data.datasets.samples import Images


class Chosen:
    """The images at ``indices``, in that order. stamps, groups: of those, where the data set knows them."""

    def __init__(self, images: Images, indices: Sequence[int] | NDArray[np.int64]) -> None:
        self.images, self.indices = images, np.asarray(indices, np.int64)
        self.classes: tuple[str, ...] = tuple(getattr(images, "classes", ()))
        for name in ("stamps", "groups"):
            known = getattr(images, name, None)
            if known is not None:
                setattr(self, name, np.asarray(known)[self.indices])

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int, /) -> Any:
        return self.images[int(self.indices[index])]


def left_out_files(images: Any) -> tuple[str, ...]:
    """A line for each file that looks like one of a data set's images and cannot be one."""
    if isinstance(images, Chosen):
        return left_out_files(images.images)
    found: tuple[str, ...] = getattr(images, "left_out", ())
    return found


def evenly(images: Images, most: int) -> Images:
    """At most ``most`` of the images, spread evenly; 0 for all."""
    if not most or len(images) <= most:
        return images
    return Chosen(images, np.linspace(0, len(images) - 1, most).round().astype(np.int64))


def captioned(images: Images) -> Images:
    """Those that have a text; none of a data set that knows no texts."""
    texts = _texts(images)
    if texts is None:
        return Chosen(images, [])
    having = np.flatnonzero([bool(text) for text in texts])
    return images if len(having) == len(images) else Chosen(images, having)


def _texts(images: Any) -> Sequence[Any] | None:
    if hasattr(images, "texts"):
        found: Sequence[Any] = images.texts
        return found
    rows = getattr(images, "rows", None)
    return None if rows is None else rows["texts"].to_pylist()


def image_names(images: Any) -> list[str]:
    """The names of a data set's images within it, in the order of its numbers.

    Rows of a table are told apart by path and caption; they are the same wherever the data lies.
    """
    if isinstance(images, Chosen):
        names = image_names(images.images)
        return [names[index] for index in images.indices]
    if (rows := getattr(images, "rows", None)) is not None:
        return [str(key) for key in rows["key"].to_pylist()]
    names = list(images.names)
    return (
        names
        if (texts := _texts(images)) is None
        else [f"{name}\n{text}" for name, text in zip(names, texts, strict=True)]
    )
