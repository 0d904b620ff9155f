"""What a frame, a voxel and a query cost in maps of several sizes."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from perception_contrast.bench.mapping.corridor import Corridor
from perception_contrast.bench.mapping.grid_bench import measure_grid
from perception_contrast.bench.mapping.object_bench import measure_objects
from perception_contrast.core.counted import counted
from perception_contrast.core.errors import PerceptionError
from perception_contrast.mapping.geometry.surface import Surface
from perception_contrast.mapping.language.carving import seen_through
from perception_contrast.mapping.language.frame_pooling import POINTS, pool_frame
from perception_contrast.mapping.language.voxel_store import VOXEL_SIZE, VoxelStore

FORMAT = 1
SIZES = (10_000, 100_000, 1_000_000)
TEXTS = (1, 100)
# A million voxels of 256 channels and room beside them.
_MAX_BYTES = 4 << 30
_SURFACE_FRAMES = 40
_QUERIES = 3

Tell = Callable[[str], None]
Report = dict[str, Any]


@dataclass(frozen=True)
class MapBenchOptions:
    """What is measured.

    Attributes:
        sizes: Voxels of the maps, rising.
        rounds: Frames on known and on new ground for each size.
        channels: Of a vector.
        surface: Whether the surface is measured too.
    """

    sizes: Sequence[int] = SIZES
    rounds: int = 20
    channels: int = 256
    surface: bool = True


@dataclass(frozen=True)
class _Took:
    """Processor milliseconds of a frame: of all together, of the store alone, of the carving alone."""

    frame: float
    store: float
    carving: float


class _Frames:
    """Frames into one store, each timed: points, pooling, store and carving together."""

    def __init__(self, channels: int) -> None:
        self.corridor = Corridor(channels)
        self.store = VoxelStore(channels, VOXEL_SIZE, max_bytes=_MAX_BYTES)
        self.places, self.frames = 0, 0
        self.worst_frame, self.worst_insert = 0.0, 0.0

    def add(self, place: int) -> _Took:
        """Adds a frame of a place."""
        frame = self.corridor.frame(place, self.frames)
        self.frames += 1
        began = time.process_time()
        pooled = pool_frame(frame, VOXEL_SIZE, points=POINTS)
        between = time.process_time()
        self.store.add(pooled.keys, pooled.vectors, pooled.counts, frame.stamp, 0)
        stored = time.process_time()
        self.store.remove(seen_through(self.store, frame))
        ended = time.process_time()
        took = _Took(1e3 * (ended - began), 1e3 * (stored - between), 1e3 * (ended - stored))
        self.worst_frame, self.worst_insert = (
            max(self.worst_frame, took.frame),
            max(self.worst_insert, took.store),
        )
        return took

    def add_new(self) -> _Took:
        """As ``add``, of a place where no frame was."""
        self.places += 1
        return self.add(self.places - 1)


def measure_map(options: MapBenchOptions, tell: Tell = lambda text: None) -> Report:
    """Measures a growing map at each size. docs/measure.md says what each key means."""
    frames = _Frames(options.channels)
    frames.add_new()
    resident, sizes = _resident_bytes(), dict[str, Report]()
    for size in options.sizes:
        tell(f"a map of {size} voxels")
        sizes[str(size)] = _at_size(frames, size, options.rounds, resident)
    settings = {"channels": options.channels, "voxel_m": VOXEL_SIZE, "points": list(POINTS)}
    return {
        "format": FORMAT,
        "settings": {**settings, "rounds": options.rounds},
        "machine": _machine(),
        "sizes": sizes,
        "worst_frame_ms": round(frames.worst_frame, 2),
        "worst_insert_ms": round(frames.worst_insert, 2),
        "surface": _surface(options, tell),
        "grid": measure_grid(),
        "objects": measure_objects(options.channels),
    }


def in_words(report: Report) -> str:
    """The figures as lines."""
    lines = []
    for size, row in report["sizes"].items():
        known, new, queries = row["known"], row["new"], row["query_ms"]
        lines.append(
            f"{size} voxels: a frame on known ground {known['frame_ms']:.1f} ms "
            f"(store {known['store_ms']:.1f}, carving {known['carving_ms']:.1f}), "
            f"on new ground {new['frame_ms']:.1f} ms (store {new['store_ms']:.1f}, "
            f"carving {new['carving_ms']:.1f}); "
            f"{row['bytes_a_voxel']:.0f} bytes a voxel; " + _queries_in_words(queries)
        )
    lines.append(
        f"worst frame {report['worst_frame_ms']:.1f} ms, its store {report['worst_insert_ms']:.1f} ms"
    )
    surface = report["surface"]
    if "skipped" in surface:
        lines.append(f"surface: not measured: {surface['skipped']}")
    else:
        lines.append(
            f"surface of 2 cm: a frame {surface['frame_ms']:.1f} ms, worst {surface['worst_ms']:.1f}; mesh "
            f"{surface['mesh_ms']:.0f} ms, cloud {surface['cloud_ms']:.0f} ms of {surface['blocks']} blocks"
        )
    grid = report["grid"]
    lines.append(
        f"grid of 5 cm: a frame in a room of {grid['room_cells']} cells {grid['room_ms']:.1f} ms, "
        f"in a house of {grid['house_cells']} cells {grid['house_ms']:.1f} ms; "
        f"an approach pose {grid['approach_ms']:.1f} ms"
    )
    objects = report["objects"]
    lines.append(
        f"{objects['objects']} objects: "
        + _queries_in_words(objects["query_ms"])
        + f"; a question in words {objects['find_ms']:.1f} ms"
    )
    return "\n".join(lines)


def _queries_in_words(took: Mapping[str, float]) -> str:
    return ", ".join(f"{counted(int(count), 'text')} {one:.1f} ms" for count, one in took.items())


def _at_size(frames: _Frames, size: int, rounds: int, resident: int) -> Report:
    """Figures of a map that is grown to ``size`` voxels; ``resident``: bytes before its first voxel."""
    store = frames.store
    while len(store) < size:
        frames.add_new()
    bytes_now = {"bytes_a_voxel": store.bytes, "resident_bytes_a_voxel": _resident_bytes() - resident}
    row: Report = {name: round(value / len(store), 1) for name, value in bytes_now.items()}
    row["voxels"] = len(store)
    row["query_ms"] = {
        str(count): _least_ms(lambda texts: store.scores(texts), frames.corridor.texts(count))
        for count in TEXTS
    }
    rng = np.random.default_rng(size)
    row["known"] = _summary([frames.add(int(rng.integers(frames.places))) for _ in range(rounds)])
    row["new"] = _summary([frames.add_new() for _ in range(rounds)])
    return row


def _surface(options: MapBenchOptions, tell: Tell) -> Report:
    """Times of the surface along the same corridor, or why there are none."""
    if not options.surface:
        return {"skipped": "not asked for"}
    try:
        surface = Surface()
    except PerceptionError as error:
        return {"skipped": str(error)}
    tell("the surface")
    corridor = Corridor(options.channels)
    took = []
    for number in range(_SURFACE_FRAMES):
        frame = corridor.frame(number // 2, number)
        took.append(_ms(lambda one: surface.integrate(one), frame))
    return {
        "frame_ms": round(float(np.median(took)), 2),
        "worst_ms": round(max(took), 2),
        "mesh_ms": round(_ms(lambda _: surface.mesh(), None), 2),
        "cloud_ms": round(_ms(lambda _: surface.cloud(), None), 2),
        "blocks": surface.blocks,
        "bytes": surface.bytes,
    }


def _ms(call: Callable[[Any], object], argument: Any) -> float:
    """Processor milliseconds of all threads."""
    began = time.process_time()
    call(argument)
    return 1e3 * (time.process_time() - began)


def _least_ms(call: Callable[[Any], object], argument: Any) -> float:
    return round(min(_ms(call, argument) for _ in range(_QUERIES)), 2)


def _summary(took: Sequence[_Took]) -> Report:
    summary: Report = {}
    for name in ("frame", "store", "carving"):
        values = [getattr(one, name) for one in took]
        summary[f"{name}_ms"] = round(float(np.median(values)), 2)
        summary[f"{name}_max_ms"] = round(max(values), 2)
    return summary


def _machine() -> Report:
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "cores": os.cpu_count(),
        "load": [round(value, 2) for value in os.getloadavg()],
    }


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
