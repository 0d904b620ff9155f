"""A million synthetic frames on a Ray cluster of this machine, whose workers are killed meanwhile.

`python -m perception_contrast_training.bench.fleet --out DIR` embeds them by thumbnails through the same
path as `perception-contrast embed --ray`, kills a worker now and then, notes the memory of all processes,
and compares the file's checksum with that of one process that nothing disturbed. It ends with an error
where the checksums differ or memory grows. Both halves go on where they were interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from perception_contrast.cli.argument_types import positive_int
from perception_contrast.cli.frame_progress import FrameProgress
from perception_contrast.core.cache import atomic_write, sha256_of
from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.bench.synthetic_frames import SyntheticFrames
from perception_contrast_training.embedding.run import embed
from perception_contrast_training.embedding.settings import THUMBNAIL, EmbedSettings
from perception_contrast_training.fleet.map_items import Where
from perception_contrast_training.fleet.on_ray import LOCAL, joined

_MEGA = 1e6
_GROWTH = 1.25  # of the median of the last quarter over that of the second
_NAP = 5.0  # seconds between two looks at the memory
FIGURES = "fleet.json"


@dataclass
class Watch:
    """Looks at the memory of this process and all that it started, and kills workers.

    Attributes:
        every: Seconds between two kills; 0 for none.
        most: Kills at most.
        memory: Megabytes (proportional, so shared pages count once) of all processes together, in time.
        driver: Of this process alone.
        largest: Of the largest of the others.
        killed: Workers that were killed.
    """

    every: float = 0.0
    most: int = 0
    memory: list[float] = field(default_factory=list)
    driver: list[float] = field(default_factory=list)
    largest: list[float] = field(default_factory=list)
    killed: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Watch:
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        import psutil

        me, chance, killed_at = psutil.Process(), random.Random(0), time.monotonic()
        while not self._stop.wait(_NAP):
            children = me.children(recursive=True)
            self.driver.append(_megabytes(me))
            sizes = [_megabytes(child) for child in children]
            self.memory.append(self.driver[-1] + sum(sizes))
            self.largest.append(max(sizes, default=self.driver[-1]))
            if not self.every or self.killed >= self.most or time.monotonic() - killed_at < self.every:
                continue
            # Of our own children alone: Ray's workers name what they are at.
            workers = [one for one in children if _name(one).startswith("ray::attempt")]
            if workers:
                os.kill(chance.choice(workers).pid, signal.SIGKILL)
                self.killed, killed_at = self.killed + 1, time.monotonic()

    def growth(self) -> float:
        """How much larger the largest process was in the last quarter than in the second.

        Not all of them together: a worker that has just taken a killed one's place is small. 1 where little
        is known.
        """
        if len(self.largest) < 8:
            return 1.0
        second, last = (np.array_split(self.largest, 4)[number] for number in (1, 3))
        return float(np.median(last) / np.median(second))


def _megabytes(process: Any) -> float:
    import psutil

    try:
        return float(process.memory_full_info().pss) / _MEGA
    except psutil.Error:
        return 0.0


def _name(process: Any) -> str:
    import psutil

    try:
        return str((process.cmdline() or [""])[0])
    except psutil.Error:
        return ""


def measure(folder: Path, frames: int, part: int, where: Where, watch: Watch, name: str) -> dict[str, Any]:
    """Embeds synthetic frames into ``folder / name`` and gives the figures; all is noted beside the file."""
    noted = folder / f"{name}.json"
    if noted.is_file():
        found: dict[str, Any] = json.loads(noted.read_text())
        return found
    source, settings = SyntheticFrames(frames), EmbedSettings(THUMBNAIL, batch=64, part_frames=part)
    began = time.monotonic()
    with watch, FrameProgress(frames, 0, what=name) as progress:
        embed([source], folder / name, settings, where=where, restart=False, advance=progress.reach)
    seconds = time.monotonic() - began
    found = {
        "frames": frames,
        "seconds": round(seconds, 1),
        "frames_a_second": round(frames / seconds, 1),
        "workers_killed": watch.killed,
        "sha256": sha256_of(folder / name),
        "bytes": (folder / name).stat().st_size,
        "memory_mb": [round(float(x)) for x in np.percentile(watch.memory or [0], (0, 50, 100))],
        "driver_mb": [round(float(x)) for x in np.percentile(watch.driver or [0], (0, 50, 100))],
        "largest_worker_mb": [round(float(x)) for x in np.percentile(watch.largest or [0], (0, 50, 100))],
        "growth": round(watch.growth(), 3),
    }
    atomic_write(noted, (json.dumps(found) + "\n").encode())
    (folder / name).unlink()
    return found


def main() -> int:
    """Exit code 0 where both gave the same file and memory stayed, else 1."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="figures and scratch files")
    parser.add_argument("--frames", type=positive_int, default=1_000_000)
    parser.add_argument("--part-frames", type=positive_int, default=4096)
    parser.add_argument("--workers", type=positive_int, default=2, help="of the cluster")
    parser.add_argument("--kill-every", type=float, default=15.0, metavar="S", help="0 for never")
    parser.add_argument("--kills", type=positive_int, default=10, help="at most")
    given = parser.parse_args()
    one = measure(given.out, given.frames, given.part_frames, Where(), Watch(), "one_process.parquet")
    watch = Watch(given.kill_every, given.kills)
    with joined(LOCAL, cpus=given.workers):
        ray = measure(given.out, given.frames, given.part_frames, Where(ray=LOCAL), watch, "ray.parquet")
    figures = {"one process": one, "ray": ray, "same file": one["sha256"] == ray["sha256"]}
    atomic_write(given.out / FIGURES, (json.dumps(figures, indent=1) + "\n").encode())
    print(json.dumps(figures, indent=1))
    return 0 if figures["same file"] and ray["growth"] < _GROWTH else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except PerceptionError as error:
        sys.exit(f"error: {error}")
