"""The Parquet files of a dataset: its manifest, a row a frame, and what was decided about frames later.

``manifest.parquet`` belongs to the extraction. ``duplicates.parquet`` and ``split.parquet`` name frames by
their key, so each can be made again without touching the others or the images.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from perception_contrast.core.cache import replacing
from perception_contrast.core.errors import PerceptionError

MANIFEST = "manifest.parquet"
DUPLICATES = "duplicates.parquet"
SPLIT = "split.parquet"
DESCRIPTION = "dataset.json"
SHARDS = "shards"
THUMBNAIL = (16, 16, 3)
"""Shape of the ``thumbnail`` column's bytes: uint8 RGB."""

SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("shard", pa.string(), nullable=False),
        pa.field("file", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("depth_offset", pa.int64()),
        pa.field("depth_size", pa.int64()),
        pa.field("source", pa.int32(), nullable=False),
        pa.field("bag", pa.string(), nullable=False),
        pa.field("topic", pa.string(), nullable=False),
        pa.field("frame_id", pa.string(), nullable=False),
        pa.field("stamp", pa.int64(), nullable=False),
        pa.field("received", pa.int64(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("pose", pa.list_(pa.float64())),
        pa.field("pose_parent", pa.string()),
        pa.field("pose_child", pa.string()),
        pa.field("camera", pa.string()),
        pa.field("depth_camera", pa.string()),
        pa.field("texts", pa.list_(pa.string()), nullable=False),
        pa.field("sharpness", pa.float32(), nullable=False),
        pa.field("brightness", pa.float32(), nullable=False),
        pa.field("change", pa.float32()),
        pa.field("similarity", pa.float32()),
        pa.field("thumbnail", pa.binary(16 * 16 * 3), nullable=False),
    ]
)
"""Of ``manifest.parquet``. offset, size: of the image's bytes in its shard, which ``depth_offset`` and
``depth_size`` are for its depth. stamp: the message's, nanoseconds; received: when it was recorded.
pose: x, y, z in metres and quaternion x, y, z, w of ``pose_child`` in ``pose_parent``. camera,
depth_camera: intrinsics as JSON. change, similarity: against earlier kept frames, null for the first.
"""


def read_table(path: Path, columns: Sequence[str] | None = None) -> Any:
    """A Parquet file as a pyarrow Table. Raises PerceptionError for one that is missing or damaged."""
    try:
        return pq.read_table(path, columns=None if columns is None else list(columns))
    except FileNotFoundError as error:
        raise PerceptionError(f"'{path}' does not exist; run `perception-contrast data extract`") from error
    except (pa.ArrowException, OSError) as error:
        raise PerceptionError(
            f"'{path}' cannot be read: {error}; delete it and run the command that wrote it again"
        ) from error


def write_table(path: Path, table: Any, facts: Mapping[str, str] | None = None) -> None:
    """Writes a pyarrow Table as Parquet; no reader sees half of it. facts: kept in the file's metadata."""
    if facts:
        kept = {**(table.schema.metadata or {}), **{k.encode(): v.encode() for k, v in facts.items()}}
        table = table.replace_schema_metadata(kept)
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_facts(path: Path) -> dict[str, str]:
    """What ``write_table`` was given as facts. Raises PerceptionError."""
    try:
        found: Mapping[bytes, bytes] = pq.read_schema(path).metadata or {}
    except (pa.ArrowException, OSError) as error:
        raise PerceptionError(f"'{path}' cannot be read: {error}; delete it and run again") from error
    return {key.decode(): value.decode() for key, value in found.items()}


def table_of(rows: Sequence[Mapping[str, Any]]) -> Any:
    """Rows with the columns of ``SCHEMA`` as a pyarrow Table."""
    return pa.Table.from_pylist(list(rows), schema=SCHEMA)


def join_tables(parts: Iterable[Path], path: Path) -> int:
    """Writes the rows of several manifests into one, a part at a time; gives their number."""
    count = 0
    with replacing(path) as temporary, pq.ParquetWriter(temporary, SCHEMA, compression="zstd") as writer:
        for part in parts:
            table = read_table(part).replace_schema_metadata(None)
            writer.write_table(table)
            count += table.num_rows
    return count


def require_dataset(path: Path) -> Path:
    """The manifest of a dataset. Raises PerceptionError for what is none or is not finished."""
    if not path.is_dir():
        raise PerceptionError(f"dataset '{path}' does not exist; check the path")
    manifest = path / MANIFEST
    if manifest.is_file():
        return manifest
    if (path / DESCRIPTION).is_file():
        raise PerceptionError(
            f"the extraction into '{path}' did not finish; run the same "
            "`perception-contrast data extract` again"
        )
    raise PerceptionError(
        f"'{path}' is no dataset: it has no {MANIFEST}; see `perception-contrast data extract`"
    )
