"""Shards that cost nothing to make, for tests of what makes many of them; light, as workers import it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SmallJob:
    """stop: while this file is there, the shard cannot be made."""

    folder: Path
    stop: Path | None = None


def make_small(job: SmallJob) -> Path:
    """A folder with the time of its making in its file's stamp."""
    if job.stop is not None and job.stop.exists():
        raise OSError("interrupted")
    job.folder.mkdir(parents=True)
    (job.folder / "made").write_text(job.folder.name)
    return job.folder
