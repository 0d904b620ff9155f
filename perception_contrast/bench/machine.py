"""Facts of this machine, and its peaks: matrix products and bytes copied a second, memory."""

from __future__ import annotations

import os
import platform
import resource
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import cv2
import torch

from perception_contrast.core.errors import ModelError
from perception_contrast.core.version import __version__
from perception_contrast.engines.cpu_features import cpu_name
from perception_contrast.engines.engine_cache import machine_facts, threads

PACKAGES = (
    "torch",
    "onnxruntime-gpu",
    "onnxruntime",
    "openvino",
    "timm",
    "transformers",
    "open_clip_torch",
    "numpy",
)
MATRIX_SIDES = {"cpu": (512, 1024, 2048), "cuda": (2048, 4096, 8192)}
COPY_MB = {"cpu": 256, "cuda": 1024}
PEAK_SECONDS = 0.4


@contextmanager
def limited_threads(count: int | None) -> Iterator[int]:
    """Limits all libraries to the same number of processors; restores the limits afterwards.

    None: all that this process may use. Raises ModelError for fewer than one or more than there are.
    """
    there = threads()
    chosen = there if count is None else count
    if not 1 <= chosen <= there:
        raise ModelError(f"--threads {chosen}: this process may use 1 to {there} processors")
    torch_before, opencv_before = torch.get_num_threads(), cv2.getNumThreads()
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_setaffinity") else None
    try:
        if allowed is not None:
            os.sched_setaffinity(0, sorted(allowed)[:chosen])
        torch.set_num_threads(chosen)
        cv2.setNumThreads(chosen)
        machine_facts.cache_clear()
        yield chosen
    finally:
        if allowed is not None:
            os.sched_setaffinity(0, allowed)
        torch.set_num_threads(torch_before)
        cv2.setNumThreads(opencv_before)
        machine_facts.cache_clear()


def machine(device: str, used: int) -> dict[str, Any]:
    """Processor, cores, threads in use, GPU (None without one), system and versions.

    load: processes that wanted a processor in the last 1, 5 and 15 minutes.
    """
    versions = {"perception_contrast": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    on_gpu = torch.device(device).type == "cuda"
    facts = machine_facts(device)
    return {
        "cpu": cpu_name(),
        "cores": os.cpu_count() or 1,
        "threads": used,
        "device": device,
        "gpu": f"{facts['gpu']}, {facts['driver']}" if on_gpu else None,
        "load": [round(value, 2) for value in os.getloadavg()],
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "versions": versions,
    }


def synchroniser(device: str) -> Any:
    """A function that waits until the device is idle; on a CPU it does nothing."""
    if torch.device(device).type == "cuda":
        return lambda: torch.cuda.synchronize(device)
    return lambda: None


def _best_seconds(work: Any, device: str) -> float:
    """Time of the fastest of the runs within PEAK_SECONDS; at least two after a warm-up."""
    synchronise = synchroniser(device)
    work()
    synchronise()
    best, began, runs = float("inf"), time.perf_counter(), 0
    while runs < 2 or time.perf_counter() - began < PEAK_SECONDS:
        start = time.perf_counter()
        work()
        synchronise()
        best = min(best, time.perf_counter() - start)
        runs += 1
    return best


def product_peaks(device: str) -> dict[str, float]:
    """Precision to the highest GFLOP/s of torch.mm over several sizes."""
    kind = torch.device(device).type
    formats = {"fp32": torch.float32, "bf16": torch.bfloat16}
    if kind == "cuda":
        formats["fp16"] = torch.float16
    peaks: dict[str, float] = {}
    for name, dtype in formats.items():
        for side in MATRIX_SIDES.get(kind, MATRIX_SIDES["cpu"]):
            left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
            seconds = _best_seconds(lambda a=left, b=right: torch.mm(a, b), device)
            peaks[name] = max(peaks.get(name, 0.0), 2 * side**3 / seconds / 1e9)
            if seconds > 1.0:  # emulated, and a larger one would take eight times as long
                break
    return peaks


def bandwidth(device: str) -> float:
    """GB/s of a copy larger than the caches; bytes read and bytes written both count."""
    megabytes = COPY_MB.get(torch.device(device).type, COPY_MB["cpu"])
    source = torch.zeros(megabytes * 2**20, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * source.numel() / _best_seconds(lambda: target.copy_(source), device) / 1e9


@dataclass
class MemoryWatch:
    """Peak memory since its creation, on Linux; elsewhere since the start of the process."""

    device: str

    def __post_init__(self) -> None:
        with suppress(OSError):  # Then the peak is that of the whole process.
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        if torch.device(self.device).type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)

    def read(self) -> Mapping[str, float | None]:
        """host_peak_mb: resident memory. gpu_peak_mb: allocated by torch, None on a CPU."""
        on_gpu = torch.device(self.device).type == "cuda"
        gpu = torch.cuda.max_memory_allocated(self.device) / 1e6 if on_gpu else None
        return {"host_peak_mb": _resident_peak_mb(), "gpu_peak_mb": gpu}


def _resident_peak_mb() -> float:
    path = Path("/proc/self/status")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    for line in lines:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
