"""Writers of a map that are killed, each continuing what the one before it left.

Run as a process of its own: it has no threads, so it may fork writers instead of starting each anew.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from functools import partial
from pathlib import Path

import map_examples

from perception_contrast.mapping.storage.map_changes import applied
from perception_contrast.mapping.storage.map_format import load_map
from perception_contrast.mapping.storage.map_state import MapChanges
from perception_contrast.mapping.storage.map_writer import MapWriter
from perception_contrast.mapping.storage.snapshot_thread import SnapshotThread


def main() -> None:
    """Kills writers of a map; prints what each had announced, and what is there afterwards, as JSON."""
    path = Path(sys.argv[1])
    for attempt in range(int(sys.argv[2])):
        announced = _killed(path, steps=1 + attempt % 3, pause=0.001 * attempt)
        state = load_map(path)
        print(
            json.dumps(
                {
                    "announced": announced,
                    "step": state.facts["step"],
                    "objects": [one["id"] for one in state.objects],
                    "voxels": sorted(state.voxels["keys"][:, 0].tolist()),
                }
            )
        )


def _killed(path: Path, steps: int, pause: float) -> int:
    """The last step that a writer announced; it is killed some time after it announced some steps."""
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(reading)
        _write(path, writing)
    os.close(writing)
    with os.fdopen(reading) as lines:
        announced = [lines.readline() for _ in range(steps)]
        time.sleep(pause)
        os.kill(process, signal.SIGKILL)
        announced += lines.readlines()
    os.waitpid(process, 0)
    return int(announced[-1])


def _write(path: Path, announcing: int) -> None:
    """Steps without end; every seventh begins a snapshot, which is written beside them."""
    writer, state = MapWriter.reopen(path)
    snapshots = SnapshotThread()
    step = int(state.facts.get("step", 0))
    while True:
        step += 1
        changes = MapChanges(
            voxels=map_examples.voxel_table([(step, 0, 0)], step),
            objects=[map_examples.object_record(step)],
            facts={"step": step},
        )
        writer.append(changes)
        state = applied(state, [changes])
        os.write(announcing, f"{step}\n".encode())
        if step % 7 == 0 and snapshots.may_start(urgent=True):
            snapshots.start(partial(writer.finish_snapshot, writer.begin_snapshot(), state))
