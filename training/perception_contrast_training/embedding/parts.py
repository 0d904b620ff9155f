"""Parts of an embedding: Parquet files of a fixed number of frames, each renamed when it is whole."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.storage.place import Place

VECTOR = "vector"
_FACTS = b"perception_contrast.part"


def row_schema(dim: int, dtype: str) -> Any:
    """Columns of an embedding. dim: numbers in a vector. dtype: "float16" or "float32"."""
    kind = pa.float16() if dtype == "float16" else pa.float32()
    return pa.schema(
        [
            pa.field("key", pa.string(), nullable=False),
            pa.field("source", pa.string(), nullable=False),
            pa.field("index", pa.int64(), nullable=False),
            pa.field("stamp", pa.int64()),
            pa.field("frame_id", pa.string(), nullable=False),
            pa.field("topic", pa.string(), nullable=False),
            pa.field("label", pa.string()),
            pa.field("height", pa.int32(), nullable=False),
            pa.field("width", pa.int32(), nullable=False),
            pa.field("model", pa.string(), nullable=False),
            pa.field("space", pa.string(), nullable=False),
            pa.field("licence", pa.string(), nullable=False),
            pa.field("patches", pa.string()),
            pa.field(VECTOR, pa.list_(kind, dim), nullable=False),
        ]
    )


@dataclass(frozen=True)
class PartFacts:
    """What a part says beside its rows.

    Attributes:
        frames: Frames that were looked at, those that cannot be read too.
        unreadable: A line for each frame that cannot be read.
        ended: Whether its source has no frame behind it.
        lost: What else of the source could not be read.
        space: Of the vectors.
    """

    frames: int
    unreadable: tuple[str, ...] = ()
    ended: bool = False
    lost: tuple[str, ...] = ()
    space: str = ""


def part_name(source: int, part: int) -> str:
    """Of a part's file; names sort in the order of the rows."""
    return f"{source:05d}-{part:07d}.parquet"


def part_table(
    rows: Sequence[Mapping[str, Any]], vectors: Sequence[NDArray[Any]], dim: int, dtype: str
) -> Any:
    """Rows and their vectors (c,) as a pyarrow Table of ``row_schema``."""
    schema = row_schema(dim, dtype)
    flat = np.concatenate(vectors) if vectors else np.zeros(0, dtype)
    values = pa.FixedSizeListArray.from_arrays(pa.array(flat.astype(dtype)), dim)
    columns = [pa.array([row[field.name] for row in rows], field.type) for field in list(schema)[:-1]]
    return pa.Table.from_arrays([*columns, values], schema=schema)


def parquet_options(schema: Any) -> dict[str, Any]:
    """How rows are encoded: texts, which repeat, by dictionaries; vectors plain: noise packs badly."""
    texts = [field.name for field in schema if pa.types.is_string(field.type)]
    packed = {field.name: "zstd" for field in schema if field.name != VECTOR}
    return {"use_dictionary": texts, "compression": packed | {f"{VECTOR}.list.element": "none"}}


def write_part(place: Place, name: str, table: Any, facts: PartFacts) -> None:
    """Writes a part as a whole. The same rows give the same bytes."""
    stored = json.dumps(vars(facts), sort_keys=True).encode()
    buffer = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({_FACTS: stored}), buffer, **parquet_options(table.schema))
    place.write(name, buffer.getvalue())


def read_facts(place: Place, name: str) -> PartFacts | None:
    """The facts of a part; None for one that is missing or cannot be read, which is then made again."""
    if place.size(name) < 0:
        return None
    try:
        metadata = pq.read_schema(io.BytesIO(place.read(name))).metadata or {}
        stored = json.loads(metadata[_FACTS])
        return PartFacts(
            stored["frames"], tuple(stored["unreadable"]), stored["ended"], tuple(stored["lost"]),
            stored["space"],
        )  # fmt: skip
    except (pa.ArrowException, OSError, KeyError, ValueError, TypeError):
        return None


def read_part(place: Place, name: str) -> Any:
    """The rows of a part as a pyarrow Table without facts. Raises PerceptionError for a damaged one."""
    try:
        return pq.read_table(io.BytesIO(place.read(name))).replace_schema_metadata(None)
    except (pa.ArrowException, OSError) as error:
        raise PerceptionError(
            f"part '{name}' of '{place.address}' is damaged ({error}); delete it and give the same command "
            "again"
        ) from error
