"""Features of teachers on disk, so that a run of many passes asks each teacher once for each view.

A file holds what a teacher says of one view, in float16, behind a digest of its bytes; a file that is damaged
is deleted and made again. Files that the run does not use go first when the cache is full. Those that it
uses stay, and what finds no room is computed each time: in a run over more views than fit, a cache that made
room for the newest would never give anything back.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections import OrderedDict
from pathlib import Path

from torch import Tensor

from perception_contrast.core.cache import atomic_write, cache_dir
from perception_contrast.core.errors import StorageError
from perception_contrast.core.file_writing import is_out_of_space

logger = logging.getLogger(__name__)

Features = dict[str, Tensor]
"""Of one view, by the teacher's outputs: (h, w, c) or (c,), float16."""

SUFFIX = ".features"
_DIGEST = 16


def default_folder() -> Path:
    """In the cache of the package."""
    return cache_dir() / "teacher_features"


class FeatureCache:
    """Reads and writes files of features.

    Args:
        folder: where they lie, a folder for each teacher's space; it may be shared by runs.
        gigabytes: of all files, at most; 0 keeps none.
        processes: that write to the folder at once, each its share.

    Attributes:
        hits, misses: how often a view's features were there, and how often not.
        bytes: of all files, as far as this process knows.
    """

    def __init__(self, folder: Path, gigabytes: float, processes: int = 1) -> None:
        self._folder, self._limit = folder, int(gigabytes * 1e9) // max(1, processes)
        self.hits = self.misses = 0
        # Of earlier runs, the ones that were used longest ago first; the ones of this run.
        self._earlier: OrderedDict[Path, int] = OrderedDict()
        self._used: dict[Path, int] = {}
        if self._limit:
            self._earlier = OrderedDict(_files_of(folder))
        self.bytes = sum(self._earlier.values()) // max(1, processes)

    def get(self, space: str, key: str) -> Features | None:
        """What a teacher said of a view; None where that is not known, or damaged."""
        path = self._path(space, key)
        found = _read(path) if self._limit else None
        if found is None:
            self.misses += 1
            self._forget(path)
            return None
        self.hits += 1
        size = self._earlier.pop(path, None)
        if size is not None:
            self._used[path] = size
            os.utime(path)
        return found

    def put(self, space: str, key: str, features: Features) -> None:
        """Keeps what a teacher said of a view, if there is room for it."""
        from safetensors.torch import save

        if not self._limit:
            return
        content = save({name: value.contiguous() for name, value in features.items()})
        path, size = self._path(space, key), len(content) + _DIGEST
        self._forget(path)
        while self.bytes + size > self._limit and self._earlier:
            self._delete(next(iter(self._earlier)))
        if self.bytes + size > self._limit:
            return
        try:
            atomic_write(path, _digest(content) + content)
        except OSError as error:
            self._give_up(error)
            return
        self._used[path] = size
        self.bytes += size

    def _path(self, space: str, key: str) -> Path:
        named = hashlib.blake2b(space.encode(), digest_size=8).hexdigest()
        return self._folder / named / key[:2] / f"{key}{SUFFIX}"

    def _forget(self, path: Path) -> None:
        """Of a file that is damaged, gone or written anew."""
        for known in (self._earlier, self._used):
            self.bytes -= known.pop(path, 0)

    def _delete(self, path: Path) -> None:
        self._forget(path)
        path.unlink(missing_ok=True)

    def _give_up(self, error: OSError) -> None:
        """A cache that cannot be written is no reason to stop a run; one that cannot be made is."""
        if not is_out_of_space(error):
            raise StorageError(
                f"features of teachers cannot be kept in '{self._folder}' ({error}); name another folder "
                "with options.cache.folder, or set options.cache.gigabytes to 0"
            ) from error
        logger.warning(
            "no space for features of teachers in %s: further ones are computed each time", self._folder
        )
        self._limit = self.bytes


def _files_of(folder: Path) -> list[tuple[Path, int]]:
    """Files and their bytes, the ones that were used longest ago first."""
    found = [(path.stat(), path) for path in folder.glob(f"*/*/*{SUFFIX}")]
    return [(path, state.st_size) for state, path in sorted(found, key=lambda one: one[0].st_mtime_ns)]


def _read(path: Path) -> Features | None:
    """None for a file that is not there, or damaged; that one is deleted."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        stored = path.read_bytes()
    except OSError:
        return None
    digest, content = stored[:_DIGEST], stored[_DIGEST:]
    try:
        if digest == _digest(content):
            return dict(load(content))
    except (SafetensorError, ValueError):
        pass
    logger.warning("%s is damaged; the teacher is asked again", path)
    path.unlink(missing_ok=True)
    return None


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGEST).digest()
