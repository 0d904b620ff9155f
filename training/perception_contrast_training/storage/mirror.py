"""Copies of a bucket's small files on this machine, so that what reads folders reads them too."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from perception_contrast.core.cache import atomic_write, cache_dir
from perception_contrast_training.storage.place import Bucket

_VERSIONS = ".versions.json"


def mirror_folder(bucket: Bucket) -> Path:
    """Where the copies of a bucket's files lie, in the cache."""
    return cache_dir() / "buckets" / sha256(bucket.address.encode()).hexdigest()[:24]


def mirrored(bucket: Bucket, names: Sequence[str]) -> Path:
    """Brings the copies of some files up to date; those that the bucket has not are deleted.

    Raises:
        PerceptionError: The bucket does not answer.
    """
    folder = mirror_folder(bucket)
    try:
        known = json.loads((folder / _VERSIONS).read_text())
    except (OSError, ValueError):
        known = {}
    for name in names:
        version = bucket.version(name)
        if not version:
            (folder / name).unlink(missing_ok=True)
        elif known.get(name) != version or not (folder / name).is_file():
            atomic_write(folder / name, bucket.read(name))
        known[name] = version
    atomic_write(folder / _VERSIONS, json.dumps(known).encode())
    return folder
