"""What a dataset is made of: its description, read and written beside the shards."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perception_contrast.core.cache import atomic_write, sha256_of
from perception_contrast.core.errors import PerceptionError
from perception_contrast.images.file_listing import printable
from perception_contrast.recordings.storage import is_recording, storage_files
from perception_contrast_training.data.bags.options import ExtractOptions
from perception_contrast_training.data.bags.output import SourceJob
from perception_contrast_training.data.datasets.manifest import DESCRIPTION, MANIFEST, SHARDS

FORMAT = 1


@dataclass(frozen=True)
class Source:
    """A recording. size: bytes of its files, to notice when it is another one."""

    name: str
    path: str
    size: int


@dataclass(frozen=True)
class Plan:
    options: ExtractOptions
    sources: tuple[Source, ...]
    captions: str = ""

    def jobs(self, dataset: Path, bucket: str = "") -> list[SourceJob]:
        return [
            SourceJob(number, source.name, Path(source.path), dataset, self.options, bucket)
            for number, source in enumerate(self.sources)
        ]

    def stored(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "options": self.options.stored(),
            "sources": [vars(source) for source in self.sources],
            "captions_sha256": self.captions,
        }


def recordings_under(paths: Sequence[Path]) -> list[Path]:
    """The recordings that the paths are or hold, each once, in this order. Raises PerceptionError."""
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise PerceptionError(f"recording '{path}' does not exist; check the path")
        if path.is_file() or is_recording(path):
            storage_files(path)
            found.append(path)
            continue
        inside = sorted(folder for folder in path.rglob("*") if folder.is_dir() and is_recording(folder))
        if not inside:
            raise PerceptionError(
                f"folder '{path}' holds no rosbag2 recording (metadata.yaml, .mcap or .db3)"
            )
        found += inside
    return list(dict.fromkeys(path.resolve() for path in found))


def make_plan(dataset: Path, paths: Sequence[Path], options: ExtractOptions) -> Plan:
    """The plan of a dataset, new or gone on with: recordings may be added, options may not change.

    One that has no frame yet, as after a topic that there is not, is begun again. Writes it.
    Raises PerceptionError that names what differs.
    """
    captions = sha256_of(Path(options.captions)) if options.captions else ""
    old = read_plan(dataset)
    # Of a dataset in a bucket the tables alone are here.
    begun = [path for path in (dataset / SHARDS).glob("*") if path.suffix in (".tar", ".parquet")]
    bare = old is not None and not begun
    if bare:
        old = None
    if old is not None:
        _require_same(dataset, old, options, captions)
    elif not bare and dataset.exists() and any(not one.name.startswith(".") for one in dataset.iterdir()):
        raise PerceptionError(f"folder '{dataset}' is not empty and no dataset; choose another --out")
    sources = list(() if old is None else old.sources)
    for path in recordings_under(paths):
        size = sum(file.stat().st_size for file in storage_files(path))
        known = next((one for one in sources if one.path == str(path)), None)
        if known is None:
            sources.append(
                Source(_unique(printable(path.name), [one.name for one in sources]), str(path), size)
            )
        elif known.size != size:
            raise PerceptionError(
                f"recording '{path}' has changed since it was extracted into '{dataset}'; "
                "choose another --out"
            )
    plan = Plan(options, tuple(sources), captions)
    # What a killed process left.
    for path in (*dataset.glob(".*.part"), *((dataset / SHARDS).glob("*") if bare else ())):
        path.unlink()
    if old != plan:
        # A dataset that grows is unfinished until all of it is there.
        (dataset / MANIFEST).unlink(missing_ok=True)
        atomic_write(dataset / DESCRIPTION, json.dumps(plan.stored(), indent=1).encode())
    return plan


def read_plan(dataset: Path) -> Plan | None:
    """The plan of a dataset; None if there is none. Raises PerceptionError for a damaged one."""
    path = dataset / DESCRIPTION
    try:
        content = json.loads(path.read_text())
        if content["format"] != FORMAT:
            raise PerceptionError(f"'{path}' has format {content['format']}; this version reads {FORMAT}")
        sources = tuple(Source(**source) for source in content["sources"])
        return Plan(ExtractOptions.read(content["options"]), sources, content["captions_sha256"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PerceptionError(f"'{path}' is damaged: {error!r}; choose another --out") from error


def _require_same(dataset: Path, old: Plan, options: ExtractOptions, captions: str) -> None:
    before, now = old.options.stored(), options.stored()
    changed = [f"{key} was {before[key]}, is {now[key]}" for key in now if before.get(key) != now[key]]
    if not changed and captions != old.captions:
        changed = [f"'{options.captions}' has other content"]
    if changed:
        raise PerceptionError(
            f"dataset '{dataset}' was made with other options: {'; '.join(changed)}. Give the same, or "
            "choose another --out"
        )


def _unique(name: str, known: Sequence[str]) -> str:
    count, found = 1, name
    while found in known:
        count += 1
        found = f"{name}-{count}"
    return found


@contextmanager
def locked(dataset: Path) -> Iterator[None]:
    """Keeps a second extraction out of the same dataset. Raises PerceptionError."""
    dataset.mkdir(parents=True, exist_ok=True)
    with (dataset / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise PerceptionError(
                f"another command works on dataset '{dataset}'; wait for it or choose another --out"
            ) from error
        yield
