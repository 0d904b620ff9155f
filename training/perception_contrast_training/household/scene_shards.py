"""Rendered scenes as token shards: what the frozen image tower sees, beside what is there.

A shard is a folder of arrays that share their first axis, plus ``objects.json``. It appears under
its name only when it is whole, so an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.cache import atomic_write
from perception_contrast.core.errors import PerceptionError
from perception_contrast_sim.objects.props import SceneObject
from perception_contrast_training.data.loading.workers import worker_pool

logger = logging.getLogger(__name__)

ARRAYS = ("tokens", "cls", "colours", "cells", "purity")


@dataclass(frozen=True)
class ShardJob:
    """One shard to make: images of one network size drawn from one seed."""

    folder: Path
    seed: int
    images: int
    size: tuple[int, int]
    model: str
    layers: tuple[int, ...]
    offline: bool
    unseen: bool = False


@dataclass(frozen=True)
class Shard:
    """tokens (N, h, w, layers * c) float16; cls (N, c) float16; colours (N, 6, H, W) float16 per cell;
    cells (N, H, W) uint8: 0 nothing, else 1 + place in ``objects[i]``; purity (N, H, W) uint8, 255 pure."""

    tokens: NDArray[np.float16]
    cls: NDArray[np.float16]
    colours: NDArray[np.float16]
    cells: NDArray[np.uint8]
    purity: NDArray[np.uint8]
    objects: list[list[SceneObject]]


def make_shard(job: ShardJob) -> Path:
    """Renders, encodes and writes one shard."""
    from perception_contrast_sim.rooms.scenes import SceneSampler, SceneSettings
    from perception_contrast_training.household.token_arrays import TokenArrays

    arrays = TokenArrays(job.model, job.layers, job.offline)
    settings = SceneSettings(unseen=job.unseen, offline=job.offline)
    objects: list[list[dict[str, object]]] = []
    for _, scene in zip(range(job.images), SceneSampler(job.seed, settings), strict=False):
        numbers = list(scene.objects)[:254]
        arrays.add(scene.rgb, scene.instances, numbers, job.size)
        objects.append([asdict(scene.objects[n]) for n in numbers])
    write_shard(job.folder, arrays.stacked(), objects)
    return job.folder


def write_shard(folder: Path, arrays: Mapping[str, NDArray[Any]], objects: object) -> None:
    """Arrays, and what is told of things in JSON, as a folder that appears whole; one that is there stays."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as made:
        partial = Path(made) / folder.name
        partial.mkdir()
        for name, values in arrays.items():
            np.save(partial / f"{name}.npy", values)
        (partial / "objects.json").write_text(json.dumps(objects))
        if not folder.exists():
            partial.rename(folder)


def load_shard(folder: Path) -> Shard:
    """A shard with its arrays left on disk until they are read. Raises PerceptionError."""
    arrays, stored = read_shard(folder, ARRAYS)
    return Shard(**arrays, objects=[[SceneObject(**o) for o in image] for image in stored])


def read_shard(folder: Path, names: Sequence[str]) -> tuple[dict[str, NDArray[Any]], Any]:
    """What ``write_shard`` wrote; the arrays stay on disk until they are read. Raises PerceptionError."""
    try:
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in names}
        return arrays, json.loads((folder / "objects.json").read_text())
    except (OSError, ValueError) as error:
        raise PerceptionError(
            f"shard '{folder}' cannot be read ({error}); delete it to make it anew"
        ) from error


class Job(Protocol):
    """One shard to make."""

    @property
    def folder(self) -> Path: ...


SomeJob = TypeVar("SomeJob", bound=Job)


def make_shards(
    jobs: Sequence[SomeJob],
    workers: int,
    make: Callable[[SomeJob], Path],
    what: str = "rendering and encoding scenes",
) -> list[Path]:
    """Makes the shards that are missing, with a progress bar; returns the folders of all."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    missing = [job for job in jobs if not job.folder.is_dir()]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        task = progress.add_task(f"{what} (shards)", total=len(jobs))
        progress.advance(task, len(jobs) - len(missing))
        for folder in _made(missing, workers, make):
            logger.info("wrote %s", folder)
            progress.advance(task)
    return [job.folder for job in jobs]


def _made(jobs: Sequence[SomeJob], workers: int, make: Callable[[SomeJob], Path]) -> Iterator[Path]:
    pool = worker_pool(workers)
    try:
        for future in as_completed([pool.submit(make, job) for job in jobs]):
            yield future.result()
    except BrokenProcessPool as error:
        raise PerceptionError(
            "a process that makes shards ended; if memory ran out, lower scenes.workers. "
            "Finished shards are kept"
        ) from error
    finally:
        # An interrupt or an error must not wait for shards that were not begun.
        pool.shutdown(cancel_futures=True)


def require_same_scenes(folder: Path, facts: dict[str, object]) -> None:
    """Notes in ``folder`` what its shards are made of. Raises PerceptionError if it is something else."""
    note = folder / "made_of.json"
    wanted = json.dumps(facts, indent=1) + "\n"
    if not note.is_file():
        atomic_write(note, wanted.encode())
    elif note.read_text() != wanted:
        raise PerceptionError(
            f"the shards in '{folder}' were made with other settings ({note}); "
            "choose another output or delete them"
        )
