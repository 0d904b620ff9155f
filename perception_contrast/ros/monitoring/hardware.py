"""Memory, threads and GPU use of this process."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from pathlib import Path

_MB = 1 << 20


def resident_mb() -> float:
    """Resident memory of this process in MB; 0 where it is not known."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / _MB


def hardware_values() -> dict[str, str]:
    """Keys and values for diagnostics; those of a GPU only while models run on one."""
    pairs = {"memory/resident_mb": f"{resident_mb():.1f}", "threads": str(threading.active_count())}
    # torch is not imported here: a node without models must not wait for it.
    torch = sys.modules.get("torch")
    cuda = getattr(torch, "cuda", None)
    if cuda is None or not (cuda.is_available() and cuda.is_initialized()):
        return pairs
    with contextlib.suppress(RuntimeError):
        free, total = cuda.mem_get_info()
        pairs |= {"gpu/name": cuda.get_device_name(), "gpu/free_mb": f"{free / _MB:.0f}"}
        pairs |= {"gpu/total_mb": f"{total / _MB:.0f}", "gpu/used_mb": f"{cuda.memory_reserved() / _MB:.0f}"}
    # These ask NVML, for which the package nvidia-ml-py must be there.
    with contextlib.suppress(Exception):
        pairs["gpu/temperature_c"] = str(cuda.temperature())
    with contextlib.suppress(Exception):
        pairs["gpu/utilisation_percent"] = str(cuda.utilization())
    return pairs
