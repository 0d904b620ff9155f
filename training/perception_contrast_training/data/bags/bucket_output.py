"""An extraction into a bucket: finished shards go there at once; the tables stay here too, to go on from.

The folder on this machine is that of ``storage.mirror``. A shard's table goes behind its tar and makes it
finished, here as in a folder, so whatever is broken off in between is made again.
"""

from __future__ import annotations

from pathlib import Path

from perception_contrast.core.cache import atomic_write
from perception_contrast_training.data.datasets.manifest import DESCRIPTION, MANIFEST, SHARDS
from perception_contrast_training.storage.mirror import mirror_folder
from perception_contrast_training.storage.place import Bucket

_TABLES = (".parquet", ".json")


def begin(bucket: Bucket) -> Path:
    """The folder of an extraction, with what the bucket has of it beside the images."""
    folder = mirror_folder(bucket)
    for name in (DESCRIPTION, MANIFEST):
        _fetch(bucket, folder, name)
    fetch_tables(bucket, folder)
    return folder


def fetch_tables(bucket: Bucket, folder: Path, prefix: str = "") -> None:
    """Brings the tables of finished shards here, of one recording where its ``prefix`` is given."""
    there = {name for name in bucket.names(f"{SHARDS}/{prefix}") if name.endswith(_TABLES)}
    for name in sorted(there):
        if not (folder / name).is_file():
            _fetch(bucket, folder, name)
    for file in (folder / SHARDS).glob(f"{prefix}*"):
        if file.suffix in _TABLES and f"{SHARDS}/{file.name}" not in there:
            file.unlink()


def send_shard(bucket: Bucket, shard: Path) -> None:
    """Sends a finished shard, its table last, and deletes the tar here."""
    for file in (shard, shard.with_suffix(".parquet")):
        bucket.put(file, f"{SHARDS}/{file.name}")
    shard.unlink()


def send(bucket: Bucket, folder: Path, name: str) -> None:
    """Sends a file, or deletes it in the bucket where it is not here."""
    if (folder / name).is_file():
        bucket.put(folder / name, name)
    else:
        bucket.delete(name)


def shard_bytes(bucket: Bucket, shard: Path) -> int:
    """Bytes of a shard in the bucket, -1 if it is not there."""
    return bucket.size(f"{SHARDS}/{shard.name}")


def _fetch(bucket: Bucket, folder: Path, name: str) -> None:
    try:
        atomic_write(folder / name, bucket.read(name))
    except FileNotFoundError:
        (folder / name).unlink(missing_ok=True)
