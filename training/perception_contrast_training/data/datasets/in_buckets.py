"""Data sets of tar shards in a bucket: frames are read at their places, each with one request."""

from __future__ import annotations

from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.data.datasets.manifest import (
    DESCRIPTION,
    DUPLICATES,
    MANIFEST,
    SHARDS,
    SPLIT,
)
from perception_contrast_training.data.datasets.samples import Transform
from perception_contrast_training.data.datasets.shards import ShardDataset
from perception_contrast_training.storage.mirror import mirrored
from perception_contrast_training.storage.place import Bucket


def open_bucket(
    address: str, part: str | None = None, *, duplicates: bool = False, transform: Transform | None = None
) -> ShardDataset:
    """The data set at an address; arguments as for ``ShardDataset``.

    Its tables are copied into the cache, so reading on needs the bucket for images alone.

    Raises:
        PerceptionError: There is no data set, or the bucket does not answer.
    """
    bucket = Bucket(address)
    folder = mirrored(bucket, (MANIFEST, DESCRIPTION, DUPLICATES, SPLIT))
    if not any((folder / name).is_file() for name in (MANIFEST, DESCRIPTION)):
        raise PerceptionError(
            f"'{address}' is no data set: it has no {MANIFEST}; make one with `perception-contrast data "
            f"extract ... --out {address}`"
        )
    shards = Bucket(f"{bucket.address}/{SHARDS}")
    return ShardDataset(folder, part, duplicates=duplicates, transform=transform, shards=shards)
