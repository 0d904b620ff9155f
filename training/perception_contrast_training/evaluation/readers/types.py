"""What the tasks are given, whichever data set it comes from."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.errors import FrameError
from perception_contrast.core.vocabulary import UNLABELLED
from perception_contrast.images.files import load_image
from perception_contrast_training.evaluation.readers.label_files import read_labels

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]
IGNORED = -1  # label of pixels that do not count
VOID = (255, UNLABELLED)  # numbers that never count, in label images of 8 and of 16 bits

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LabelledImage:
    """image (H, W, 3) uint8 RGB; labels (H, W) int64, index of a class or IGNORED."""

    name: str
    image: Image
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class Thing:
    """One thing of an image. names: all that are true of it, its own first. mask: (H, W) bool.

    track: who it is from frame to frame, "" where that is not known. ignored: counts neither way.
    """

    names: tuple[str, ...]
    mask: Mask
    track: str = ""
    ignored: bool = False


@dataclass(frozen=True)
class ThingsImage:
    """An image (H, W, 3) uint8 RGB with all its things. absent: names of what is certainly not there."""

    name: str
    image: Image
    things: tuple[Thing, ...]
    absent: tuple[str, ...] = ()


@dataclass(frozen=True)
class NamedImage:
    """An image (H, W, 3) uint8 RGB of one class, by its index."""

    name: str
    image: Image
    label: int


@dataclass
class Skipped:
    """Images that could not be decoded, with the reason; they are counted and told at the end."""

    files: dict[str, str] = field(default_factory=dict)

    def image(self, path: Path, name: str = "") -> Image | None:
        """The image of a file, or None after noting that it cannot be decoded.

        name: what tells it from files of other folders; the file's own where it is left out.
        """
        try:
            return load_image(path)
        except FrameError as error:
            self.note(name or path.name, error)
            return None

    def labels(self, path: Path) -> NDArray[np.int64] | None:
        """The numbers of a label image, or None after noting that it cannot be read.

        Raises PerceptionError for an image that holds no numbers.
        """
        try:
            return read_labels(path)
        except FrameError as error:
            self.note(f"{path.parent.name}/{path.name}", error)
            return None

    def note(self, name: str, error: Exception) -> None:
        """Adds an image to those left out."""
        _log.info("left out: %s", error)
        self.files[name] = str(error)


class LabelledSet(Protocol):
    """names: of the classes, in the order of the labels' numbers. Iterating starts anew each time."""

    @property
    def names(self) -> tuple[str, ...]: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[LabelledImage]: ...


class ThingsSet(Protocol):
    """names: what is asked for, in each image."""

    @property
    def names(self) -> tuple[str, ...]: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[ThingsImage]: ...


class ClassifiedSet(Protocol):
    """names: of the classes, in the order of the labels."""

    @property
    def names(self) -> tuple[str, ...]: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[NamedImage]: ...
