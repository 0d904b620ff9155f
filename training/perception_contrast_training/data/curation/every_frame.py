"""What the `data` commands work on: a dataset that `data extract` made, or images as they lie in a folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.data.datasets.folder_classes import AUTO
from perception_contrast_training.data.datasets.folders import FolderDataset
from perception_contrast_training.data.datasets.open_dataset import open_dataset
from perception_contrast_training.data.datasets.samples import Sample
from perception_contrast_training.data.datasets.shards import ShardDataset

Frames = ShardDataset | FolderDataset
LISTED_MOST = 50
"""Files that cannot be read, of those that a command names."""


def every_frame(path: Path, *, classes: str = AUTO) -> Frames:
    """All frames at a path, near-duplicates too. classes: rule of ``folder_classes.RULES``.

    Raises:
        PerceptionError: There are none, or they are listed in a table.
    """
    frames = open_dataset(path, duplicates=True, classes=classes)
    if not isinstance(frames, ShardDataset | FolderDataset):
        raise PerceptionError(f"'{path}' is a table; give the folder that holds its images")
    return frames


def require_folder(path: Path, command: str) -> None:
    """Raises PerceptionError for an archive, beside whose images nothing can be noted."""
    if not path.is_dir():
        raise PerceptionError(
            f"`data {command}` writes what it finds into the folder of the images, and '{path}' is no "
            "folder; unpack it first"
        )


def readable(frames: Frames, refused: dict[int, str]) -> Iterator[tuple[int, Sample]]:
    """Frames that can be decoded, with their numbers; the others go to ``refused`` with the reason."""
    for index in range(len(frames)):
        try:
            yield index, frames[index]
        except PerceptionError as error:
            refused[index] = " ".join(str(error).split())
