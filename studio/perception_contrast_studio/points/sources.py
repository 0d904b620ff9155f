"""Where points come from, as the server names it to its workers."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perception_contrast_studio.points.point_set import PointSet


@dataclass(frozen=True)
class VectorFile:
    """An .npz or .npy file of vectors in a dataset's folder.

    Attributes:
        path: Of the file.
        folder: That its pictures lie in.
    """

    path: Path
    folder: Path

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.folder.name}/{self.path.name}"

    @property
    def key(self) -> str:
        """Changes with the file."""
        return f"file:{self.path}:{_version(self.path)}"


@dataclass(frozen=True)
class EncodedDataset:
    """Images of a dataset through an encoder.

    Attributes:
        folder: Of the dataset, or of images.
        model: Name of the encoder.
        cache: Folder of the vectors that were encoded; None where that has still to be done.
    """

    folder: Path
    model: str
    cache: Path | None = None

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.folder.name} through {self.model}"

    @property
    def key(self) -> str:
        """Changes with the vectors."""
        return f"dataset:{self.folder}:{self.cache}"


@dataclass(frozen=True)
class MapMemory:
    """What a saved map remembers.

    Attributes:
        path: Of the memory's file.
        name: Of the map.
        kind: "objects", "sightings" or "keyframes".
    """

    path: Path
    name: str
    kind: str

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.kind} of the map {self.name}"

    @property
    def key(self) -> str:
        """Changes when the memory is written."""
        journal = self.path.with_name(self.path.name + "-wal")
        return f"memory:{self.path}:{self.kind}:{_version(self.path)}:{_version(journal)}"


@dataclass(frozen=True)
class LivePoints:
    """Frames of the robot up to now.

    Attributes:
        version: Counts the frames that were ever collected.
        points: What is known of them.
        vectors: (n, c) float32.
    """

    version: int
    points: PointSet = field(repr=False)
    vectors: NDArray[np.float32] = field(repr=False)

    @property
    def title(self) -> str:
        """For people."""
        return self.points.title

    @property
    def key(self) -> str:
        """Changes with each frame."""
        return f"live:{self.points.space}:{self.version}"


Source = VectorFile | EncodedDataset | MapMemory | LivePoints


def _version(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
