"""Lance tables, which LanceDB opens by their folder and name: on a disk or in a bucket. Needs pylance."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

from perception_contrast.core.errors import PerceptionError, StorageError, one_line
from perception_contrast_training.storage.place import is_address

SUFFIX = ".lance"


def lance_library() -> Any:
    """The library. Raises PerceptionError where it is not installed."""
    try:
        import lance
    except ModuleNotFoundError as error:
        raise PerceptionError(
            "Lance tables need the library lance; install it with `pip install pylance`"
        ) from error
    return lance


def is_lance(path: Path | str) -> bool:
    """Whether a path or an address is that of a Lance table."""
    name = str(path).rstrip("/")
    return name.endswith(SUFFIX) or (not is_address(name) and (Path(name) / "_versions").is_dir())


def open_lance(path: Path | str) -> Any:
    """The table at a path or an address. Raises PerceptionError for one that is missing or damaged."""
    lance = lance_library()
    try:
        return lance.dataset(str(path), storage_options=_options(path))
    except (OSError, ValueError, RuntimeError) as error:
        raise PerceptionError(
            f"Lance table '{path}' cannot be opened ({one_line(error)}); check the path, or write it again"
        ) from error


def write_lance(path: Path | str, schema: Any, batches: Iterable[Any]) -> int:
    """Writes record batches as a new table, which replaces one that is there; gives the number of rows.

    On a disk the folder appears when it is whole; in a bucket the table's version does.

    Raises:
        StorageError: It cannot be written.
    """
    lance = lance_library()
    reader = pa.RecordBatchReader.from_batches(schema, batches)
    try:
        if is_address(path):
            made = lance.write_dataset(reader, str(path), mode="overwrite", storage_options=_options(path))
            return int(made.count_rows())
        return _write_folder(lance, Path(path), reader)
    except (OSError, RuntimeError) as error:
        raise StorageError(
            f"Lance table '{path}' cannot be written ({one_line(error)}): check the folder, its free space "
            "and rights, then give the same command again"
        ) from error


def _write_folder(lance: Any, path: Path, reader: Any) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
    try:
        made = lance.write_dataset(reader, str(part / path.name), mode="create")
        rows = int(made.count_rows())
        if path.exists():
            path.rename(part / "old")
        (part / path.name).rename(path)
        return rows
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _options(path: Path | str) -> dict[str, str] | None:
    """What the table's own library takes for a bucket; it reads AWS_* and GOOGLE_* by itself."""
    if not is_address(path):
        return None
    plain = os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://")
    return {"allow_http": "true"} if plain else {}
