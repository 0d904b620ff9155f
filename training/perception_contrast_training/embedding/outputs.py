"""From the parts of an embedding to one file: Parquet, NumPy's .npz, or a Lance table."""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.file_writing import writing
from perception_contrast_training.embedding.parts import VECTOR, parquet_options, read_part
from perception_contrast_training.storage.lance_table import SUFFIX as LANCE
from perception_contrast_training.storage.lance_table import lance_library, write_lance
from perception_contrast_training.storage.place import Place, is_address, open_place

PARQUET, NPZ = ".parquet", ".npz"
SUFFIXES = (PARQUET, NPZ, LANCE)
ABOUT = "perception_contrast.embedding"
"""Key of the facts in a file's metadata; the array's name in an .npz."""


def checked_suffix(out: Path | str) -> str:
    """The suffix of a file of vectors. Raises PerceptionError for another one."""
    suffix = Path(str(out).rstrip("/")).suffix.lower()
    if suffix not in SUFFIXES:
        raise PerceptionError(f"--out '{out}' must end with one of {', '.join(SUFFIXES)}")
    if suffix == LANCE:
        lance_library()
    return suffix


def write_vectors(out: Path | str, parts: Place, names: Sequence[str], about: Mapping[str, Any]) -> int:
    """Joins parts, a part at a time; gives the number of rows. The file has its name when it is whole.

    Args:
        out: Path or address whose suffix says the format.
        parts: Where the parts are.
        names: Of the parts, in the order of the rows.
        about: What the file says of itself, as JSON can hold it.

    Raises:
        PerceptionError: No part has a row.
        StorageError: The file cannot be written.
    """
    suffix, facts = checked_suffix(out), json.dumps(about, sort_keys=True)
    if _schema(parts, names) is None:
        raise PerceptionError("none of the frames can be read; the lines above name them")
    if suffix == LANCE:
        schema = _schema(parts, names).with_metadata({ABOUT: facts})
        return write_lance(out, schema, _batches(parts, names))
    write: Callable[[Path, Place, Sequence[str], str], int]
    write = _write_parquet if suffix == PARQUET else _write_npz
    if not is_address(out):
        with writing(Path(out)) as part:
            return write(part, parts, names, facts)
    folder, _, name = str(out).rpartition("/")
    with tempfile.TemporaryDirectory(prefix="perception_contrast_") as local:
        rows = write(Path(local) / name, parts, names, facts)
        open_place(folder).put(Path(local) / name, name)
        return rows


def _schema(parts: Place, names: Sequence[str]) -> Any:
    """Of the first part with a row; None if no part has one."""
    return next((table.schema for table in _tables(parts, names)), None)


def _tables(parts: Place, names: Sequence[str]) -> Iterator[Any]:
    for name in names:
        table = read_part(parts, name)
        if table.num_rows:
            yield table


def _batches(parts: Place, names: Sequence[str]) -> Iterator[Any]:
    for table in _tables(parts, names):
        yield from table.to_batches()


def _write_parquet(path: Path, parts: Place, names: Sequence[str], facts: str) -> int:
    rows: int = 0
    schema = _schema(parts, names).with_metadata({ABOUT: facts})
    with pq.ParquetWriter(path, schema, **parquet_options(schema)) as writer:
        for table in _tables(parts, names):
            writer.write_table(table.cast(schema))
            rows += int(table.num_rows)
    return rows


def _write_npz(path: Path, parts: Place, names: Sequence[str], facts: str) -> int:
    """An array for each column, without pickled objects; numbers that are missing are -1, texts ""."""
    schema = _schema(parts, names)
    rows = sum(int(table.num_rows) for table in _tables(parts, names))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for field in schema:
            column = "vectors" if field.name == VECTOR else field.name
            with _member(archive, column) as file:
                _write_column(file, parts, names, field, rows)
        with _member(archive, "about") as file:
            np.lib.format.write_array(file, np.array(facts), allow_pickle=False)
    return rows


def _member(archive: zipfile.ZipFile, name: str) -> Any:
    # A fixed time, so that the same rows give the same bytes.
    return archive.open(zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), "w", force_zip64=True)


def _write_column(file: Any, parts: Place, names: Sequence[str], field: Any, rows: int) -> None:
    shape: tuple[int, ...] = (rows,)
    if pa.types.is_string(field.type):
        lengths = (
            max(map(len, filter(None, table[field.name].to_pylist())), default=1)
            for table in _tables(parts, names)
        )
        dtype = np.dtype(f"<U{max(1, *lengths, 1)}")
    elif pa.types.is_fixed_size_list(field.type):
        shape, dtype = (rows, field.type.list_size), np.dtype(field.type.value_type.to_pandas_dtype())
    else:
        dtype = np.dtype(field.type.to_pandas_dtype())
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    for table in _tables(parts, names):
        file.write(np.ascontiguousarray(column_array(table[field.name], dtype)).tobytes())


def column_array(column: Any, dtype: Any) -> Any:
    """A column as an array of ``dtype``: -1 and "" where it has no value, (n, c) of vectors."""
    if pa.types.is_fixed_size_list(column.type):
        return vectors_of(column)
    missing = "" if pa.types.is_string(column.type) else -1
    return np.array([missing if one is None else one for one in column.to_pylist()], dtype)


def vectors_of(column: Any) -> Any:
    """A column of vectors as an array (n, c)."""
    size = column.type.list_size
    arrays = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks]
    joined = np.concatenate(arrays) if arrays else np.zeros(0, column.type.value_type.to_pandas_dtype())
    return joined.reshape(-1, size)
