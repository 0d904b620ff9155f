"""Tar shards, written so that the same frames give the same bytes. Needs no torch."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from perception_contrast.core.cache import replacing


class ShardWriter:
    """A context that writes one tar under a temporary name and renames it when it is whole.

    The same members give the same bytes: no owner, no clock.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stack = ExitStack()

    def __enter__(self) -> ShardWriter:
        temporary = self._stack.enter_context(replacing(self.path))
        self._file = self._stack.enter_context(temporary.open("wb"))
        self._tar = self._stack.enter_context(
            tarfile.open(fileobj=self._file, mode="w", format=tarfile.USTAR_FORMAT)
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def add(self, name: str, data: bytes) -> tuple[int, int]:
        """Adds a member; gives (offset, size) of its bytes in the file."""
        info = tarfile.TarInfo(name)
        info.size, info.mode = len(data), 0o644
        self._tar.addfile(info, io.BytesIO(data))
        # addfile pads the data to whole blocks of 512 bytes.
        padded = -(-len(data) // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
        return self._tar.offset - padded, len(data)


def json_member(row: Mapping[str, Any]) -> bytes:
    """What ``key.json`` says: the manifest's row without what only finds its bytes."""
    left_out = ("shard", "file", "offset", "size", "depth_offset", "depth_size", "thumbnail")
    kept: dict[str, Any] = {key: value for key, value in row.items() if key not in left_out}
    for name in ("camera", "depth_camera"):
        if kept.get(name):
            kept[name] = json.loads(kept[name])
    return json.dumps(kept, sort_keys=True).encode()
