"""What a memory costs: `python -m perception_contrast.bench.mapping.memory_bench`.

Sightings are stored, reopened, searched, read beside a writer, and written by processes that are killed;
vectors of keyframes are searched by this package and by the libraries that are installed.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from perception_contrast.bench.mapping.vector_index_bench import measure_indices
from perception_contrast.core.arrays import FloatArray
from perception_contrast.core.rigid_transform import RigidTransform
from perception_contrast.memory.history import last_seen, seen_then
from perception_contrast.memory.memory_store import MemoryStore
from perception_contrast.memory.sightings import Filters, Sighting

_SPACE, _SECOND = "bench@0", 1_000_000_000
_CHANNELS, _OBJECTS, _LABELS, _ROW = 256, 1000, 50, 30
_THUMBNAIL, _WITH_THUMBNAIL = 3000, 5  # bytes, and one sighting of so many has one
_COMMIT = 8  # sightings
_SEED = 0


class Things:
    """Objects a metre apart, which are seen in a random order; a second lies between two sightings."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        prototypes = np.random.default_rng(_SEED).normal(size=(_OBJECTS, _CHANNELS))
        self.vectors: FloatArray = _unit(prototypes)

    def sightings(self, first: int, count: int) -> list[Sighting]:
        """Sightings of the seconds from ``first`` on."""
        return [self._sighting(second) for second in range(first, first + count)]

    def any(self) -> int:
        """Number of some object."""
        return int(self._random.integers(0, _OBJECTS))

    def _sighting(self, second: int) -> Sighting:
        number = self.any()
        x, y = number % _ROW + self._random.normal(0, 0.02), number // _ROW + self._random.normal(0, 0.02)
        vector = _unit(self.vectors[number] + 0.05 * self._random.normal(size=_CHANNELS))
        jpeg = self._random.bytes(_THUMBNAIL) if second % _WITH_THUMBNAIL == 0 else b""
        return Sighting(
            second * _SECOND,
            number,
            f"label {number % _LABELS}",
            (x - 0.1, y - 0.1, 0.0),
            (x + 0.1, y + 0.1, 0.2),
            RigidTransform.identity(),
            vector=vector,
            space=_SPACE,
            thumbnail=jpeg,
        )


def measure_memory(path: Path, sightings: int, seconds: float, kills: int) -> dict[str, Any]:
    """Milliseconds; docs/map_format.md says what the keys mean.

    Args:
        path: A file that is not there yet.
        sightings: How many are stored first.
        seconds: How long is read beside the writer.
        kills: How many writers are killed.
    """
    things = Things(1)
    with MemoryStore(path) as memory:
        for first in range(0, sightings, 1000):
            memory.add(things.sightings(first, min(1000, sightings - first)))
    report: dict[str, Any] = {"sightings": sightings, "megabytes": round(path.stat().st_size / 1e6, 1)}
    began = time.perf_counter(), time.process_time()
    with MemoryStore(path) as memory:
        memory.search_objects(things.vectors[0], _SPACE)
        report["reopen_ms"] = _since(began)
        report["queries"] = _queries(memory, things, sightings)
        commits = [things.sightings(sightings + _COMMIT * number, _COMMIT) for number in range(50)]
        report["commit"] = _summary([_timed(partial(memory.add, some)) for some in commits])
    report["beside_a_writer"] = _beside(path, seconds)
    report["killed"] = _killed(path, kills)
    return report


def _queries(memory: MemoryStore, things: Things, sightings: int) -> dict[str, Any]:
    """Each question to other objects, many times."""
    then = sightings // 2 * _SECOND
    questions: dict[str, Callable[[int], object]] = {
        "objects by vector": lambda n: memory.search_objects(things.vectors[n], _SPACE),
        "sightings by vector": lambda n: memory.search_sightings(things.vectors[n], _SPACE),
        "sightings by vector, near": lambda n: memory.search_sightings(
            things.vectors[n], _SPACE, Filters(near=_place(n), radius=2.0)
        ),
        "last seen of a label": lambda n: last_seen(memory, Filters(label=f"label {n % _LABELS}")),
        "near, since": lambda n: memory.sightings(
            Filters(near=_place(n), radius=1.0, since=sightings * 9 // 10 * _SECOND), limit=20
        ),
        "what was here then": lambda n: seen_then(memory, then, Filters(near=_place(n), radius=1.0)),
    }
    numbers = [things.any() for _ in range(30)]
    return {
        name: _summary([_timed(partial(ask, number)) for number in numbers])
        for name, ask in questions.items()
    }


def _beside(path: Path, seconds: float) -> dict[str, Any]:
    """Questions of a reader while another process commits five times a second."""
    process, announced = _writer(path, pause=0.2)
    things = Things(2)
    times: dict[str, list[tuple[float, float]]] = defaultdict(list)
    try:
        announced.recv()
        with MemoryStore(path, read_only=True) as memory:
            memory.search_objects(things.vectors[0], _SPACE)
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                number = things.any()
                near = Filters(near=_place(number), radius=1.0)
                asks: dict[str, Callable[[], object]] = {
                    "last seen of an object": partial(last_seen, memory, Filters(object_id=number)),
                    "last seen of a label": partial(
                        last_seen, memory, Filters(label=f"label {number % _LABELS}")
                    ),
                    "near": partial(memory.sightings, near, limit=20),
                    "objects by vector": partial(memory.search_objects, things.vectors[number], _SPACE),
                }
                for name, ask in asks.items():
                    times[name].append(_timed(ask))
                time.sleep(0.01)
    finally:
        process.kill()
        process.join()
    together = [one for some in times.values() for one in some]
    return {name: _summary(some) for name, some in times.items()} | {"all": _summary(together)}


def _killed(path: Path, kills: int) -> dict[str, Any]:
    """Kills writers; counts those of which something is missing that they had announced."""
    losses, reopened = 0, []
    for number in range(kills):
        process, announced = _writer(path, pause=0.0)
        newest = announced.recv()
        time.sleep(0.02 * (number % 7))
        process.kill()
        process.join()
        while announced.poll():
            try:
                newest = announced.recv()
            except EOFError:
                break
        began = time.perf_counter()
        with MemoryStore(path) as memory:
            held = memory.counts().newest or 0
        reopened.append(1e3 * (time.perf_counter() - began))
        losses += held < newest
    return {"kills": kills, "with_losses": losses, "reopen_max_ms": round(max(reopened, default=0.0), 1)}


def _writer(path: Path, pause: float) -> tuple[multiprocessing.process.BaseProcess, Connection]:
    """A process that commits without end, and announces each commit by its newest stamp."""
    context = multiprocessing.get_context("spawn")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=write_without_end, args=(path, pause, sending), daemon=True)
    process.start()
    sending.close()
    return process, receiving


def write_without_end(path: Path, pause: float, announcing: Connection) -> None:
    """What a writer's process does."""
    things = Things(3)
    with MemoryStore(path) as memory:
        second = (memory.counts().newest or 0) // _SECOND + 1
        while True:
            memory.add(things.sightings(second, _COMMIT))
            second += _COMMIT
            announcing.send((second - 1) * _SECOND)
            time.sleep(pause)


def _place(number: int) -> tuple[float, float, float]:
    return float(number % _ROW), float(number // _ROW), 0.1


def _unit(vectors: Any) -> FloatArray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True), np.float32)


def _timed(call: Callable[[], object]) -> tuple[float, float]:
    """Milliseconds that passed, and of the processor."""
    began = time.perf_counter(), time.process_time()
    call()
    return 1e3 * (time.perf_counter() - began[0]), 1e3 * (time.process_time() - began[1])


def _since(began: tuple[float, float]) -> dict[str, float]:
    return {
        "passed": round(1e3 * (time.perf_counter() - began[0]), 1),
        "cpu": round(1e3 * (time.process_time() - began[1]), 1),
    }


def _summary(times: Sequence[tuple[float, float]]) -> dict[str, float]:
    passed, cpu = np.array(times).T
    return {
        "median_ms": round(float(np.median(passed)), 2),
        "p99_ms": round(float(np.percentile(passed, 99)), 2),
        "cpu_median_ms": round(float(np.median(cpu)), 2),
        "cpu_p99_ms": round(float(np.percentile(cpu, 99)), 2),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--sightings", type=int, default=100_000, help="0 skips them (default: %(default)s)")
    add("--seconds", type=float, default=20.0, help="of reading beside a writer (default: %(default)s)")
    add("--kills", type=int, default=20, help="of writers (default: %(default)s)")
    add("--keyframes", type=int, default=1_000_000, help="0 skips them (default: %(default)s)")
    add("--libraries", nargs="*", default=["faiss", "usearch", "lancedb"], help="(default: all installed)")
    options = parser.parse_args(argv)
    report: dict[str, Any] = {}
    if options.sightings:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "memory.sqlite"
            report["memory"] = measure_memory(path, options.sightings, options.seconds, options.kills)
    if options.keyframes:
        report["keyframes"] = measure_indices(options.keyframes, options.libraries)
    print(json.dumps(report, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
