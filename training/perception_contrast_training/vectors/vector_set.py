"""Files of vectors that `embed` wrote, read back: .parquet, .npz and Lance tables."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from perception_contrast.core.errors import PerceptionError, one_line
from perception_contrast_training.embedding.outputs import ABOUT, NPZ, PARQUET, SUFFIXES, vectors_of
from perception_contrast_training.embedding.parts import VECTOR
from perception_contrast_training.storage.lance_table import SUFFIX as LANCE
from perception_contrast_training.storage.lance_table import open_lance
from perception_contrast_training.storage.place import is_address, open_place

_BATCH = 8192


@dataclass(frozen=True)
class VectorSet:
    """Vectors of frames, and what is known of each.

    Attributes:
        vectors: (n, c) float16 or float32 in a file of their own, so that memory is the system's to manage.
        rows: pyarrow Table of the other columns, in the same order.
        about: What the file says of itself.
        folder: Holds the file as long as this object lives.
    """

    vectors: NDArray[Any]
    rows: Any
    about: dict[str, Any]
    folder: TemporaryDirectory[str] | None = None

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def space(self) -> str:
        """Of the vectors."""
        return str(self.rows["space"][0].as_py()) if len(self) else ""

    def names(self) -> list[str]:
        """ "SOURCE/KEY" of each frame."""
        pairs = zip(self.rows["source"].to_pylist(), self.rows["key"].to_pylist(), strict=True)
        return [f"{source}/{key}" for source, key in pairs]


def read_vectors(path: Path | str) -> VectorSet:
    """The vectors of a file, a path or an address.

    Raises:
        PerceptionError: There is no such file, it is damaged, or `embed` did not write it.
    """
    suffix = Path(str(path).rstrip("/")).suffix.lower()
    if suffix not in SUFFIXES:
        raise PerceptionError(
            f"'{path}' is no file of vectors; it must end with one of {', '.join(SUFFIXES)}"
        )
    if not is_address(path) and not Path(path).exists():
        raise PerceptionError(f"'{path}' does not exist; make it with `perception-contrast embed`")
    try:
        if suffix == NPZ:
            return _of_npz(path)
        return _of_batches(*(_lance(path) if suffix == LANCE else _parquet(path)))
    except (pa.ArrowException, OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise PerceptionError(
            f"'{path}' cannot be read ({one_line(error)}); make it again with `perception-contrast embed`"
        ) from error


def _parquet(path: Path | str) -> tuple[Any, int, Iterator[Any]]:
    source: Any = path
    if is_address(path):
        folder, _, name = str(path).rpartition("/")
        source = pa.BufferReader(open_place(folder).read(name))
    file = pq.ParquetFile(source)
    return file.schema_arrow, file.metadata.num_rows, file.iter_batches(_BATCH)


def _lance(path: Path | str) -> tuple[Any, int, Iterator[Any]]:
    table = open_lance(path)
    return table.schema, table.count_rows(), iter(table.to_batches(batch_size=_BATCH))


def _of_batches(schema: Any, count: int, batches: Iterator[Any]) -> VectorSet:
    about = json.loads((schema.metadata or {})[ABOUT.encode()])
    kind = schema.field(VECTOR).type
    folder = TemporaryDirectory(prefix="perception_contrast_")
    stored: Any = np.memmap(
        Path(folder.name) / "vectors",
        kind.value_type.to_pandas_dtype(),
        "w+",
        shape=(max(1, count), kind.list_size),
    )
    rows, done = [], 0
    for batch in batches:
        table = pa.Table.from_batches([batch])
        stored[done : done + table.num_rows] = vectors_of(table[VECTOR])
        done += table.num_rows
        rows.append(table.drop_columns([VECTOR]).replace_schema_metadata(None))
    if done != count:
        raise ValueError(f"{done} of {count} rows are there")
    return VectorSet(stored[:count], pa.concat_tables(rows), about, folder)


def _of_npz(path: Path | str) -> VectorSet:
    if is_address(path):
        raise PerceptionError(f"'{path}': copy an .npz from its bucket first, or use {PARQUET}")
    with np.load(path, allow_pickle=False) as archive:
        columns = {name: archive[name] for name in archive.files}
    about = json.loads(str(columns.pop("about")))
    vectors = columns.pop("vectors")
    return VectorSet(vectors, pa.table({name: pa.array(values) for name, values in columns.items()}), about)
