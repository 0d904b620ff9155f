"""The finished shards of one recording, and the state that lets its extraction go on behind them."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.data.bags import bucket_output
from perception_contrast_training.data.bags.image_bytes import Kept
from perception_contrast_training.data.bags.options import ExtractOptions
from perception_contrast_training.data.datasets.manifest import (
    SHARDS,
    read_facts,
    read_table,
    table_of,
    write_table,
)
from perception_contrast_training.data.datasets.shard_writer import ShardWriter, json_member
from perception_contrast_training.storage.place import Bucket


@dataclass(frozen=True)
class SourceJob:
    """number: of the recording in the dataset, which its shards and keys begin with. bucket: address of the
    dataset in a bucket, "" for one in a folder; ``dataset`` is then the folder of ``bucket_output``."""

    number: int
    name: str
    path: Path
    dataset: Path
    options: ExtractOptions
    bucket: str = ""

    @property
    def prefix(self) -> str:
        return f"{self.number:04d}"

    @property
    def result_file(self) -> Path:
        return self.dataset / SHARDS / f"{self.prefix}.json"

    def shard(self, count: int) -> Path:
        return self.dataset / SHARDS / f"{self.prefix}-{count:06d}.tar"


class Output:
    """The shards of one recording, each with its part of the manifest beside it, which makes it finished."""

    def __init__(self, job: SourceJob) -> None:
        self._job, self.count = job, 0
        self._rows: list[dict[str, Any]] = []
        self._writer: ShardWriter | None = None
        self._stack = ExitStack()
        self._bucket = Bucket(job.bucket) if job.bucket else None

    def resume(self) -> dict[str, Any] | None:
        """Counts the finished shards, clears away what was begun; gives the state behind the last one."""
        folder = self._job.dataset / SHARDS
        folder.mkdir(parents=True, exist_ok=True)
        if self._bucket is not None:
            bucket_output.fetch_tables(self._bucket, self._job.dataset, self._job.prefix)
        for left in folder.glob(f".{self._job.prefix}*.part"):
            left.unlink()
        state = None
        while (found := _finished(self._job.shard(self.count), self._bucket)) is not None:
            state = found
            self.count += 1
        for left in folder.glob(f"{self._job.prefix}-*"):
            if int(left.stem.rpartition("-")[2]) >= self.count:
                left.unlink()
        return state

    def __enter__(self) -> Output:
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def add(self, row: dict[str, Any], kept: Kept, depth: bytes | None) -> None:
        """Writes a frame's members and completes its row with their places."""
        if self._writer is None:
            self._writer = self._stack.enter_context(ShardWriter(self._job.shard(self.count)))
        key, writer = row["key"], self._writer
        row |= {
            "shard": writer.path.name,
            "file": f"{key}{kept.suffix}",
            "depth_offset": None,
            "depth_size": None,
        }
        row["offset"], row["size"] = writer.add(row["file"], kept.data)
        if depth is not None:
            row["depth_offset"], row["depth_size"] = writer.add(f"{key}.depth.png", depth)
        writer.add(f"{key}.json", json_member(row))
        if row["texts"]:
            writer.add(f"{key}.txt", "\n".join(row["texts"]).encode())
        self._rows.append(row)

    def close_if_full(self, state: Callable[[], dict[str, Any]]) -> None:
        if len(self._rows) >= self._job.options.shard_frames:
            self.finish(state)

    def finish(self, state: Callable[[], dict[str, Any]]) -> None:
        """Completes the open shard, if there is one."""
        if self._writer is None:
            return
        shard = self._writer.path
        self._stack.close()
        facts = {"state": json.dumps(state()), "bytes": str(shard.stat().st_size)}
        write_table(shard.with_suffix(".parquet"), table_of(self._rows), facts)
        if self._bucket is not None:
            bucket_output.send_shard(self._bucket, shard)
        self._writer, self._rows = None, []
        self.count += 1


def _finished(shard: Path, bucket: Bucket | None) -> dict[str, Any] | None:
    """The state behind a whole shard; None for one that is missing, begun or cut."""
    part = shard.with_suffix(".parquet")
    if not part.is_file():
        return None
    if bucket is not None:
        size = bucket_output.shard_bytes(bucket, shard)
    else:
        size = shard.stat().st_size if shard.is_file() else -1
    try:
        facts = read_facts(part)
        read_table(part, ["key"])
        state: dict[str, Any] = json.loads(facts["state"])
    except (PerceptionError, KeyError, ValueError):
        return None
    return state if str(size) == facts.get("bytes") else None
