"""Number formats that this processor has instructions for, and whether they are faster."""

from __future__ import annotations

import platform
import statistics
import time
from functools import cache
from pathlib import Path

_BFLOAT16 = {"avx512_bf16", "amx_bf16"}
_INT8 = {"avx512_vnni", "avx_vnni", "amx_int8", "asimddp"}
# Rows, inner and outer size of a vision transformer's products.
_PRODUCT = (576, 384, 1536)
_CLEARLY_FASTER = 1.2


@cache
def _processor() -> tuple[str, frozenset[str]]:
    """The processor's name and flags, from /proc/cpuinfo on Linux."""
    information = Path("/proc/cpuinfo")
    if not information.exists():
        return platform.processor() or platform.machine(), frozenset()
    name, flags = platform.machine(), frozenset[str]()
    for line in information.read_text(encoding="utf-8", errors="replace").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            name = value.strip()
        elif key.strip() in ("flags", "Features"):
            flags = frozenset(value.split())
    return name, flags


def cpu_name() -> str:
    return _processor()[0]


def has_bfloat16() -> bool:
    """Whether the processor has instructions for bfloat16 products."""
    return bool(_BFLOAT16 & _processor()[1])


def has_int8() -> bool:
    """Whether the processor has instructions for sums of 8-bit products."""
    return bool(_INT8 & _processor()[1])


@cache
def bfloat16_is_faster() -> bool:
    """Measures whether a bfloat16 product takes clearly less time than a float32 one.

    The flags alone do not tell: AVX-512's instructions halve the time on one maker's processors and double
    it on another's.
    """
    import torch

    if not has_bfloat16():
        return False
    rows, inner, outer = _PRODUCT
    took = {}
    for dtype in (torch.float32, torch.bfloat16):
        left, right = torch.ones(rows, inner, dtype=dtype), torch.ones(inner, outer, dtype=dtype)
        samples = []
        for _ in range(12):
            began = time.perf_counter()
            left @ right
            samples.append(time.perf_counter() - began)
        took[dtype] = statistics.median(samples[2:])
    return took[torch.float32] > _CLEARLY_FASTER * took[torch.bfloat16]
