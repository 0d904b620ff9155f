"""A whole embedding: sources to jobs, jobs to parts, parts to one file; goes on where it was interrupted."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.file_writing import require_writable
from perception_contrast_training.data.bags.plan import locked
from perception_contrast_training.embedding.frame_items import EmbedSource
from perception_contrast_training.embedding.jobs import EmbedJob, JobDone, embed_job
from perception_contrast_training.embedding.outputs import checked_suffix, write_vectors
from perception_contrast_training.embedding.parts import part_name, read_facts
from perception_contrast_training.embedding.patch_store import zarr_library
from perception_contrast_training.embedding.settings import EmbedSettings
from perception_contrast_training.fleet.map_items import Where, map_items
from perception_contrast_training.storage.place import Place, is_address, open_place

RUN = "run.json"
FORMAT = "perception_contrast embedding 1"
Advance = Callable[[int, int], None]
"""Called with the frames that are done altogether, and how many of them earlier runs did."""


@dataclass(frozen=True)
class Embedded:
    """What a run gave.

    Attributes:
        rows: Vectors in the file.
        unreadable: A line for each frame that cannot be read and is left out.
        lost: What else of the sources could not be read.
    """

    rows: int
    unreadable: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


class _Progress:
    """Frames done by job, told as one number."""

    def __init__(self, advance: Advance | None) -> None:
        self._advance = advance
        self._jobs: dict[int, tuple[int, int]] = {}
        self._done = self._before = 0

    def __call__(self, number: int, done: int, before: int) -> None:
        last, last_before = self._jobs.get(number, (0, 0))
        self._done += done - last
        self._before += before - last_before
        self._jobs[number] = done, before
        if self._advance is not None:
            self._advance(self._done, self._before)

    def end(self, number: int, found: JobDone) -> None:
        """A job is done: it will not be heard of again."""
        self(number, found.frames, found.before)
        del self._jobs[number]


class _Jobs(Sequence[EmbedJob]):
    """The jobs of a run, made when they are asked for: a million of them cost no memory."""

    def __init__(
        self, sources: Sequence[EmbedSource], counts: Sequence[int], parts: Place, patches: str,
        settings: EmbedSettings,
    ) -> None:  # fmt: skip
        self._sources, self._counts = sources, counts
        self._parts, self._patches, self._settings = parts, patches, settings
        self._jobs = [
            1 if source.sequential else max(1, -(-count // settings.part_frames))
            for source, count in zip(sources, counts, strict=True)
        ]

    def __len__(self) -> int:
        return sum(self._jobs)

    def __getitem__(self, number: Any) -> Any:
        left = int(number)
        if not 0 <= left < len(self):
            raise IndexError(number)
        source_number = 0
        while left >= self._jobs[source_number]:
            left -= self._jobs[source_number]
            source_number += 1
        source = self._sources[source_number]
        last = None if source.sequential else left + 1
        count = self._counts[source_number]
        return EmbedJob(
            int(number), source_number, source, left, last, count, self._parts, self._patches, self._settings
        )


def parts_address(out: Path | str) -> str:
    """Where the parts of a run lie until they are joined: beside its file."""
    return f"{str(out).rstrip('/')}.parts"


def embed(
    sources: Sequence[EmbedSource],
    out: Path | str,
    settings: EmbedSettings,
    *,
    patches: Path | str = "",
    where: Where | None = None,
    restart: bool = False,
    advance: Advance | None = None,
) -> Embedded:
    """Writes the vectors of all frames into one file; goes on with a run that was interrupted.

    The file equals that of a run without interruptions, byte for byte for .parquet and .npz. On several
    workers it does too where they compute alike.

    Args:
        sources: Of ``find_data``.
        out: Path or address that ends with .parquet, .npz or .lance.
        settings: What is computed.
        patches: Path or address of a Zarr group for patch features, which ``settings.patches`` chooses.
        where: Processes or a Ray cluster; None for this process.
        restart: Forget an earlier run.
        advance: Told of the frames that are done.

    Raises:
        PerceptionError: The file exists already, an unfinished run had other settings or data, or no frame
            can be read.
    """
    checked_suffix(out)
    if patches:
        zarr_library()
    for target in (out, patches):
        if target and not is_address(target):
            require_writable(Path(target).parent)
    with _opened(out, patches, restart) as parts:
        counts = [source.count() for source in sources]
        plan = _settled(parts, sources, settings, str(patches))
        jobs = _Jobs(sources, counts, parts, str(patches), settings)
        progress = _Progress(advance)
        for number, outcome in map_items(embed_job, jobs, where or Where(), progress):
            if isinstance(outcome, PerceptionError):
                raise outcome
            progress.end(number, outcome)
        names, found = _finished(parts, jobs)
        rows = write_vectors(out, parts, names, plan)
    _remove(parts)
    return Embedded(rows, *found)


@contextmanager
def _opened(out: Path | str, patches: Path | str, restart: bool) -> Iterator[Place]:
    """The place of the parts, kept from other commands where it is a folder."""
    address = parts_address(out)
    parts = open_place(address)
    if restart:
        if patches and not is_address(patches):
            _remove_patches(Path(patches))
        _remove(parts)
    elif _exists(out) and parts.size(RUN) < 0:
        raise PerceptionError(f"'{out}' exists already; choose another --out, or replace it with --restart")
    with nullcontext() if is_address(address) else locked(Path(address)):
        yield parts


def _exists(out: Path | str) -> bool:
    if not is_address(out):
        return Path(out).exists()
    folder, _, name = str(out).rstrip("/").rpartition("/")
    return open_place(folder).size(name) >= 0


def _settled(
    parts: Place, sources: Sequence[EmbedSource], settings: EmbedSettings, patches: str
) -> dict[str, Any]:
    """What this run is, noted beside its parts; refuses to go on with another one."""
    plan: dict[str, Any] = {
        "format": FORMAT,
        "settings": settings.stored(),
        "patches": patches,
        "sources": [source.identity() for source in sources],
    }
    plan = json.loads(json.dumps(plan))
    if parts.size(RUN) >= 0:
        try:
            before = json.loads(parts.read(RUN))
            changed = [key for key in plan if before.get(key) != plan[key]]
        except (ValueError, AttributeError):
            changed = ["what it notes, which is damaged"]
        # What failed before its first part, as with a wrong --model, does not stand in the way.
        if changed and (
            parts.names() != [RUN] or (patches and not is_address(patches) and Path(patches).exists())
        ):
            raise PerceptionError(
                f"'{parts.address}' holds an unfinished run with other {', '.join(changed)}; give the same "
                "command as before, choose another --out, or begin anew with --restart"
            )
    parts.write(RUN, json.dumps(plan, indent=1).encode())
    return plan


def _finished(parts: Place, jobs: _Jobs) -> tuple[list[str], tuple[tuple[str, ...], tuple[str, ...]]]:
    """Names of all parts in the order of the rows, and what could not be read."""
    names, unreadable, lost = list[str](), list[str](), list[str]()
    spaces = dict[str, None]()
    for job in jobs:
        part = job.first
        while job.last is None or part < job.last:
            name = part_name(job.source_number, part)
            facts = read_facts(parts, name)
            if facts is None:
                raise PerceptionError(
                    f"part '{name}' of '{parts.address}' is missing or damaged; give the same command again"
                )
            names.append(name)
            unreadable += facts.unreadable
            lost += facts.lost
            spaces[facts.space] = None
            part += 1
            if facts.ended:
                break
    if len(spaces) > 1:
        raise PerceptionError(
            f"'{parts.address}' holds vectors of two spaces ({', '.join(spaces)}): the model's weights have "
            "changed since the run began; begin anew with --restart"
        )
    return names, (tuple(unreadable), tuple(dict.fromkeys(lost)))


def _remove_patches(folder: Path) -> None:
    """Removes a Zarr group, and nothing that is none. Raises PerceptionError."""
    if (
        folder.exists()
        and not (folder / "zarr.json").is_file()
        and (folder.is_file() or any(folder.iterdir()))
    ):
        raise PerceptionError(
            f"--patches '{folder}' is no Zarr group, so --restart does not remove it; name another folder"
        )
    shutil.rmtree(folder, ignore_errors=True)


def _remove(parts: Place) -> None:
    if is_address(parts.address):
        for name in parts.names():
            parts.delete(name)
    else:
        shutil.rmtree(parts.address, ignore_errors=True)
