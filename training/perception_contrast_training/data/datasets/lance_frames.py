"""Frames in a Lance table, which LanceDB opens too: a row a frame, its image's bytes in a column."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from perception_contrast.core.errors import PerceptionError, one_line
from perception_contrast_training.data.datasets.frame_notes import frame_notes
from perception_contrast_training.data.datasets.manifest import SCHEMA
from perception_contrast_training.data.datasets.samples import (
    UNKNOWN,
    Sample,
    Transform,
    image_tensor,
    in_range,
    no_pose,
)
from perception_contrast_training.data.datasets.shards import ShardDataset, poses_of
from perception_contrast_training.data.datasets.table_rows import TEXT_COLUMNS
from perception_contrast_training.storage.lance_table import open_lance, write_lance

IMAGE_COLUMNS = ("image", "image_bytes", "jpg", "png")
_BINARY = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary)
_PLACES = ("shard", "offset", "size", "depth_offset", "depth_size")
_BATCH_BYTES = 64 << 20
_PART, _DUPLICATE = "part", "duplicate"


class LanceDataset:
    """Images of a Lance table by number; each is read when it is asked for.

    The bytes of a JPEG or PNG are in the first of ``IMAGE_COLUMNS`` that is there. All else may be missing:
    ``key``, ``texts`` or one of ``TEXT_COLUMNS``, ``stamp``, ``pose``, ``source`` (the group), ``part`` and
    ``duplicate``. Safe in worker processes: each opens the table for itself. Raises PerceptionError.

    Args:
        path: Path or address of the table.
        part, duplicates, transform: As for ``ShardDataset``.

    Attributes:
        rows: pyarrow Table of all columns without bytes, with ``key`` and ``texts``.
        stamps, groups, poses: As of ``ShardDataset``.
    """

    classes: tuple[str, ...] = ()

    def __init__(
        self,
        path: Path | str,
        part: str | None = None,
        *,
        duplicates: bool = False,
        transform: Transform | None = None,
    ) -> None:
        self.path, self.transform = str(path), transform
        self._opened: tuple[int, Any] | None = None
        table = self._table()
        names = [field.name for field in table.schema if any(is_of(field.type) for is_of in _BINARY)]
        column = next((name for name in IMAGE_COLUMNS if name in names), None)
        if column is None:
            raise PerceptionError(
                f"Lance table '{path}' has no column of image bytes ({', '.join(IMAGE_COLUMNS)}); it has "
                f"{', '.join(table.schema.names)}"
            )
        self._column = column
        plain = [name for name in table.schema.names if name not in names]
        rows = _completed(table.to_table(columns=plain), table.count_rows())
        self._numbers = _chosen(self.path, rows, part, duplicates)
        self.rows = rows.take(self._numbers)
        self.stamps: NDArray[np.int64] = _whole(self.rows, "stamp", UNKNOWN)
        self.groups: NDArray[np.int32] = _whole(self.rows, "source", 0).astype(np.int32)
        known = "pose" in self.rows.column_names
        self.poses = poses_of(self.rows) if known else np.full((len(self.rows), 7), np.nan)

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: int) -> Sample:
        index = in_range(index, len(self))
        key = str(self.rows["key"][index].as_py())
        image = image_tensor(self._bytes(int(self._numbers[index])), key)
        pose = torch.from_numpy(self.poses[index].copy()) if len(self.poses) else no_pose()
        return Sample(
            image=image if self.transform is None else self.transform(image),
            text="\n".join(self.rows["texts"][index].as_py()),
            stamp=int(self.stamps[index]),
            pose=pose,
            group=int(self.groups[index]),
            label=UNKNOWN,
            index=index,
            key=key,
        )

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_opened": None}

    def _table(self) -> Any:
        # Its threads do not outlive a fork.
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = os.getpid(), open_lance(self.path)
        return self._opened[1]

    def _bytes(self, number: int) -> bytes:
        try:
            found = self._table().take([number], columns=[self._column])[self._column][0].as_py()
        except (OSError, ValueError, RuntimeError) as error:
            raise PerceptionError(
                f"row {number} of Lance table '{self.path}' cannot be read ({one_line(error)}); write it "
                "again"
            ) from error
        return found or b""


def _completed(rows: Any, count: int) -> Any:
    """With the columns ``key`` and ``texts``."""
    if "key" not in rows.column_names:
        rows = rows.append_column("key", pa.array([f"{number:08d}" for number in range(count)]))
    if "texts" not in rows.column_names:
        name = next((one for one in TEXT_COLUMNS if one in rows.column_names), None)
        texts = [[str(one)] if one else [] for one in rows[name].to_pylist()] if name else [[]] * count
        rows = rows.append_column("texts", pa.array(texts, pa.list_(pa.string())))
    return rows


def _chosen(path: str, rows: Any, part: str | None, duplicates: bool) -> NDArray[np.int64]:
    chosen = np.ones(len(rows), bool)
    if not duplicates and _DUPLICATE in rows.column_names:
        chosen &= ~np.array([bool(one) for one in rows[_DUPLICATE].to_pylist()], bool)
    if part is not None:
        parts = np.array(rows[_PART].to_pylist() if _PART in rows.column_names else [], str)
        if part not in parts:
            raise PerceptionError(
                f"Lance table '{path}' has no part '{part}'; it has: "
                f"{', '.join(sorted(set(parts))) or 'none'}"
            )
        chosen &= parts == part
    return np.flatnonzero(chosen)


def _whole(rows: Any, name: str, missing: int) -> NDArray[np.int64]:
    if name not in rows.column_names or not pa.types.is_integer(rows.schema.field(name).type):
        return np.full(len(rows), missing, np.int64)
    return np.array([missing if one is None else one for one in rows[name].to_pylist()], np.int64)


def write_lance_frames(frames: ShardDataset, path: Path | str) -> int:
    """Writes a data set of shards as a Lance table, with its parts and duplicates; gives the number of rows.

    Args:
        frames: All that are to be written.
        path: Path or address of the table.

    Raises:
        PerceptionError: A shard was cut short or is missing.
        StorageError: The table cannot be written.
    """
    notes = frame_notes(frames.path, frames.rows["key"].to_pylist())
    fields = [field for field in SCHEMA if field.name not in (*_PLACES, "thumbnail")]
    kinds = {name: pa.bool_() if name == _DUPLICATE else pa.string() for name in notes}
    schema = pa.schema(
        [
            *fields,
            *(pa.field(name, kind) for name, kind in kinds.items()),
            pa.field("image", pa.binary()),
            pa.field("depth", pa.binary()),
        ]
    )
    return write_lance(path, schema, _batches(frames, schema, notes))


def _batches(frames: ShardDataset, schema: Any, notes: dict[str, list[Any]]) -> Iterator[Any]:
    start, size = 0, 0
    images: list[bytes] = []
    depths: list[bytes | None] = []
    for index in range(len(frames)):
        image, depth = frames.stored(index)
        images.append(image)
        depths.append(depth)
        size += len(image) + len(depth or b"")
        if size >= _BATCH_BYTES or index == len(frames) - 1:
            rows = frames.rows.slice(start, len(images)).to_pydict()
            rows |= {name: values[start : start + len(images)] for name, values in notes.items()}
            columns = rows | {"image": images, "depth": depths}
            yield pa.RecordBatch.from_pydict({name: columns[name] for name in schema.names}, schema)
            start, size, images, depths = index + 1, 0, [], []
