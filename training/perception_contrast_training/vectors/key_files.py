"""Files that name frames: which are labelled already, and what a detector saw in them."""

from __future__ import annotations

import json
import logging
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.data.datasets.table_rows import read_rows
from perception_contrast_training.vectors.vector_set import VectorSet

_log = logging.getLogger(__name__)
_TABLES = (".csv", ".tsv", ".jsonl", ".parquet")


def labelled_frames(path: Path, vectors: VectorSet) -> NDArray[np.int64]:
    """Numbers of the frames that a file names.

    Args:
        path: A text file with a name a line, or a table with a column ``key`` (and ``source`` where keys of
            several sources are alike). ``FILE:PART`` takes the rows whose column ``part`` says so, as those
            of the split.parquet of `data split`.
        vectors: Whose frames are named, by their key or by SOURCE/KEY.

    Raises:
        PerceptionError: The file cannot be read, or names no frame of these.
    """
    names = _names(path)
    places: dict[str, list[int]] = {}
    pairs = zip(vectors.names(), vectors.rows["key"].to_pylist(), strict=True)
    for number, (full, key) in enumerate(pairs):
        for name in {full, str(key)}:
            places.setdefault(name, []).append(number)
    missing = [name for name in names if name not in places]
    found = sorted({number for name in names for number in places.get(name, ())})
    if not found:
        example = vectors.rows["key"][0].as_py()
        raise PerceptionError(
            f"'{path}' names none of the frames; a line is a key such as '{example}', or "
            f"'{vectors.names()[0]}'"
        )
    if missing:
        _log.warning(
            "%d of %d names in '%s' are no frames, as '%s'", len(missing), len(names), path, missing[0]
        )
    return np.array(found, np.int64)


def _names(path: Path) -> list[str]:
    file, _, part = (
        str(path).rpartition(":") if not path.exists() and ":" in str(path) else (str(path), "", "")
    )
    place = Path(file)
    if not place.is_file():
        raise PerceptionError(f"'{place}' does not exist; give a file that names frames")
    if place.suffix.lower() not in _TABLES:
        try:
            return [line.strip() for line in place.read_text("utf-8").splitlines() if line.strip()]
        except (OSError, UnicodeDecodeError) as error:
            raise PerceptionError(f"'{place}' cannot be read ({error}); it must be UTF-8 text") from error
    rows = read_rows(place)
    if rows and "key" not in rows[0]:
        raise PerceptionError(f"'{place}' has no column 'key'; it has {', '.join(rows[0])}")
    chosen = [row for row in rows if not part or str(row.get("part")) == part]
    if part and not chosen:
        raise PerceptionError(f"'{place}' has no rows of part '{part}'")
    return [f"{row['source']}/{row['key']}" if row.get("source") else str(row["key"]) for row in chosen]


def uncertainty(path: Path, vectors: VectorSet) -> NDArray[np.float32]:
    """(n,) from 0 to 1: how uncertain the least certain detection of each frame is, 0 without one.

    A detection of probability p has the binary entropy of p, which is 1 at one half.

    Args:
        path: The detections.jsonl of `find`, run over the same data.
        vectors: Whose frames are looked up.

    Raises:
        PerceptionError: The file cannot be read or knows none of the frames.
    """
    known: dict[tuple[str, int], float] = {}
    number = 0
    try:
        with path.open(encoding="utf-8") as file:
            for line in file:
                number += 1
                entry = json.loads(line)
                if "detections" in entry:
                    known[str(entry["source"]), int(entry["frame"])] = _entropy(entry["detections"])
    except OSError as error:
        raise PerceptionError(f"'{path}' cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise PerceptionError(f"line {number} of '{path}' is none of `find`: {error!r}") from error
    found = np.array([_looked_up(known, row) for row in _rows(vectors)], np.float32)
    if np.isnan(found).all():
        raise PerceptionError(f"'{path}' knows none of the frames; run `find` over the same data")
    return np.nan_to_num(found, nan=0.0)


def _rows(vectors: VectorSet) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = vectors.rows.select(["source", "key", "index", "topic"]).to_pylist()
    return rows


def _looked_up(known: dict[tuple[str, int], float], row: dict[str, Any]) -> float:
    """`find` names files of a folder one by one, and recordings and videos by their own name."""
    source, topic = str(row["source"]), str(row["topic"] or "")
    recording = source.removesuffix(topic) if topic else source
    names = (
        (f"{source}/{row['key']}", 0),
        (str(row["key"]), 0),
        (recording, int(row["index"])),
        (PurePosixPath(source).name, int(row["index"])),
    )
    return next((known[name] for name in names if name in known), float("nan"))


def _entropy(detections: list[dict[str, Any]]) -> float:
    if not detections:
        return 0.0
    p = np.clip([float(one["score"]) for one in detections], 1e-6, 1 - 1e-6)
    return float((-(p * np.log2(p) + (1 - p) * np.log2(1 - p))).max())
