"""What is known of points beside their vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perception_contrast_studio.points.pictures import Pictures

UNKNOWN = -1


@dataclass(frozen=True)
class PointSet:
    """Points of one embedding space, without their vectors.

    Attributes:
        title: For people.
        space: Identity of the vectors' space; "" where it is not known.
        model: The encoder of the vectors; "" where it is not known.
        channels: Numbers in a vector.
        labels: (n,) int32, a class each, or -1.
        classes: Names of the classes.
        stamps: (n,) int64 nanoseconds, or -1.
        bags: (n,) int32, a recording each, or -1.
        bag_names: Of the recordings.
        names: Of the points; empty for points that are known by their number alone.
        pictures: Of the points; None where there are none.
        folder: The dataset's, where there is one.
        splittable: Whether the names are those of the dataset's split.
        remarks: Lines for people, such as what was left out.
    """

    title: str
    space: str
    model: str
    channels: int
    labels: NDArray[np.int32]
    classes: Sequence[str] = ()
    stamps: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    bags: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    bag_names: Sequence[str] = ()
    names: Sequence[str] = ()
    pictures: Pictures | None = None
    folder: Path | None = None
    splittable: bool = False
    remarks: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def has_times(self) -> bool:
        """Whether any point has a time."""
        return bool(len(self.stamps)) and bool((self.stamps >= 0).any())

    def name_of(self, index: int) -> str:
        """Of a point."""
        return str(self.names[index]) if len(self.names) else f"point {index}"

    def label_of(self, index: int) -> str:
        """The class of a point, or ""."""
        return str(self.classes[self.labels[index]]) if self.labels[index] >= 0 else ""

    def bag_of(self, index: int) -> str:
        """The recording of a point, or ""."""
        known = len(self.bags) and self.bags[index] >= 0
        return str(self.bag_names[self.bags[index]]) if known else ""
