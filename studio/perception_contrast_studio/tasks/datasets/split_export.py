"""Writes a choice of images as a part of a dataset's split, or as a list of files."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.plain_names import PLAIN_NAME_RULE, is_plain_name

Report = Callable[[float, str], None]


def write_split(
    report: Report, folder: Path, chosen: Sequence[str], part: str, others: str, change: bool
) -> str:
    """Puts images into a part of ``split.parquet``, which `data.part` and readers of the dataset use.

    Args:
        report: Told of progress.
        folder: Of the dataset.
        chosen: Names of the images.
        part: That they go into.
        others: Part of all other images, where the dataset is not split yet.
        change: Whether a split that is there may be changed: the other images keep their parts then, and the
            file before is kept beside it.

    Returns:
        A line that says what was written.

    Raises:
        PerceptionError: A name is none, or there is a split that may not be changed.
    """
    import pyarrow as pa

    from perception_contrast_training.data.curation.every_frame import every_frame
    from perception_contrast_training.data.datasets.manifest import SPLIT, read_table, write_table
    from perception_contrast_training.data.datasets.subset import image_names

    _require_names(part, others)
    path = folder / SPLIT
    if path.is_file() and not change:
        raise PerceptionError(f"'{path}' is there already; tick that it may be changed, or write a list")
    names = image_names(every_frame(folder))
    wanted = set(chosen)
    parts = dict.fromkeys(names, others)
    kept = ""
    if path.is_file():
        table = read_table(path, ["key", "part"])
        parts |= dict(zip(table["key"].to_pylist(), table["part"].to_pylist(), strict=True))
        kept = _kept_copy(path)
    rows = [part if name in wanted else parts[name] for name in names]
    facts = {"by": "selection", "seed": "0", "guard_time": "0", "guard_distance": "0"}
    write_table(path, pa.table({"key": names, "part": rows}), facts)
    counts = ", ".join(f"{name} {rows.count(name)}" for name in sorted(set(rows)))
    return f"wrote {path} ({counts})" + (f"; the split before is in {kept}" if kept else "")


def write_list(report: Report, path: Path, chosen: Sequence[str]) -> str:
    """Writes names, a line each, into a new file. A line that says so.

    Raises:
        PerceptionError: There is such a file, or it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
        temporary.write_text("".join(f"{name}\n" for name in chosen), encoding="utf-8")
        try:
            # Unlike a rename, a link never replaces a file.
            os.link(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except FileExistsError as error:
        raise PerceptionError(f"'{path}' is there already; choose another name") from error
    except OSError as error:
        raise PerceptionError(
            f"'{path}' cannot be written ({error.strerror or error}); check the folder and its permissions"
        ) from error
    return f"wrote {path} ({len(chosen)} lines)"


def _require_names(part: str, others: str) -> None:
    for name in (part, others):
        if not is_plain_name(name):
            raise PerceptionError(f"part {name[:80]!r} is not a name; {PLAIN_NAME_RULE}")
    if part == others:
        raise PerceptionError(f"the chosen images and the others cannot both be '{part}'; name another part")


def _kept_copy(path: Path) -> str:
    """Keeps the file under a name of its own."""
    copy = path.with_name(f"{path.stem}_before_{time.strftime('%Y%m%d_%H%M%S')}{path.suffix}")
    try:
        os.link(path, copy)
    except OSError as error:
        raise PerceptionError(
            f"the split before cannot be kept as '{copy}' ({error.strerror}); check"
        ) from error
    return copy.name
