"""A soak node of small models that tells its memory.

Standard input: ``memory FILE``. It returns what was freed to the system and writes to that file its resident
megabytes, those in use by malloc's account, and the number of blocks of Python's small objects.
"""

from __future__ import annotations

import gc
import sys
import threading
from pathlib import Path

from perception_contrast.bench.soak.soak_node import main
from perception_contrast.core.cache import atomic_write
from perception_contrast.core.process.allocator import allocated_mb, release_memory
from perception_contrast.ros.monitoring.hardware import resident_mb


def _answer() -> None:
    for line in sys.stdin:
        words = line.split()
        if len(words) == 2 and words[0] == "memory":
            gc.collect()
            release_memory()
            told = f"{resident_mb():.2f} {allocated_mb():.2f} {sys.getallocatedblocks()}"
            atomic_write(Path(words[1]), told.encode())


def _build(**arguments: object) -> object:
    from perception_contrast.bench.soak.small_pairs import build

    return build(**arguments)


if __name__ == "__main__":
    threading.Thread(target=_answer, daemon=True).start()
    main(_build)
