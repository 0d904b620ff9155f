"""One door to every kind of image data."""

from __future__ import annotations

from pathlib import Path

from perception_contrast.core.errors import PerceptionError
from perception_contrast.recordings.storage import is_recording
from perception_contrast_training.data.datasets.folder_classes import AUTO
from perception_contrast_training.data.datasets.folders import FolderDataset
from perception_contrast_training.data.datasets.manifest import DESCRIPTION, MANIFEST
from perception_contrast_training.data.datasets.samples import ImageDataset, Transform
from perception_contrast_training.data.datasets.shards import ShardDataset
from perception_contrast_training.data.datasets.tables import TABLE_SUFFIXES, TableDataset


def open_dataset(
    path: Path | str,
    *,
    part: str | None = None,
    duplicates: bool = False,
    classes: str = AUTO,
    transform: Transform | None = None,
) -> ImageDataset:
    """The dataset at a path: an extracted one, a folder or .zip of images, or a table with captions.

    part, duplicates: as for ``ShardDataset``; tables and archives have no parts. classes: which folders are
    classes, a rule of ``folder_classes.RULES``. transform: applied to each (3, h, w) uint8 image. Raises
    PerceptionError that says what the path is and what to do.
    """
    place = Path(path)
    if not place.exists():
        raise PerceptionError(f"data '{place}' does not exist; check the path")
    if place.is_dir() and ((place / MANIFEST).is_file() or (place / DESCRIPTION).is_file()):
        return ShardDataset(place, part, duplicates=duplicates, transform=transform)
    if is_recording(place):
        raise PerceptionError(
            f"'{place}' is a recording; make a dataset of it with "
            f"`perception-contrast data extract {place} --out DATASET`"
        )
    if place.is_dir():
        return FolderDataset(place, part, duplicates=duplicates, classes=classes, transform=transform)
    if part is not None:
        raise PerceptionError(
            f"'{place}' has no part '{part}': only a folder of images, or a dataset that `data extract` "
            "made, can be split"
        )
    if place.suffix.lower() == ".zip":
        return FolderDataset(place, classes=classes, transform=transform)
    if place.suffix.lower() in TABLE_SUFFIXES:
        return TableDataset(place, transform=transform)
    raise PerceptionError(
        f"'{place}' is no data that can be read; give a dataset that `data extract` made, a folder or .zip "
        f"of images, or a table ({', '.join(TABLE_SUFFIXES)}) with paths and captions"
    )
