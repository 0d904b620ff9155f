"""One door to every kind of image data."""

from __future__ import annotations

from pathlib import Path

from perception_contrast.core.errors import PerceptionError
from perception_contrast.recordings.storage import is_recording
from perception_contrast_training.data.datasets.folder_classes import AUTO
from perception_contrast_training.data.datasets.folders import FolderDataset
from perception_contrast_training.data.datasets.in_buckets import open_bucket
from perception_contrast_training.data.datasets.lance_frames import LanceDataset
from perception_contrast_training.data.datasets.manifest import DESCRIPTION, MANIFEST
from perception_contrast_training.data.datasets.reader_kind import open_with
from perception_contrast_training.data.datasets.samples import ImageDataset, Transform
from perception_contrast_training.data.datasets.shards import ShardDataset
from perception_contrast_training.data.datasets.tables import TABLE_SUFFIXES, TableDataset
from perception_contrast_training.storage.lance_table import is_lance
from perception_contrast_training.storage.place import is_address


def open_dataset(
    path: Path | str,
    *,
    part: str | None = None,
    duplicates: bool = False,
    classes: str = AUTO,
    transform: Transform | None = None,
    reader: str = "",
) -> ImageDataset:
    """The dataset at a path: an extracted one, a folder or .zip of images, or a table.

    An extracted one and a Lance table may lie in a bucket (``s3://...``).

    part, duplicates: as for ``ShardDataset``; tables and archives have no parts. classes: which folders are
    classes, a rule of ``folder_classes.RULES``. transform: applied to each (3, h, w) uint8 image. reader:
    of another package that reads the path instead (``reader_kind``), by rules of its own for classes and
    near-duplicates, and without a transform. Raises PerceptionError that says what the path is and what to
    do.
    """
    if is_lance(path):
        return LanceDataset(path, part, duplicates=duplicates, transform=transform)
    if is_address(path):
        return open_bucket(str(path), part, duplicates=duplicates, transform=transform)
    place = Path(path)
    if not place.exists():
        raise PerceptionError(f"data '{place}' does not exist; check the path")
    if reader:
        return open_with(reader, place, part)
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
