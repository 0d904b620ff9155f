"""Number formats that a processor multiplies faster, and that change the result too little to matter."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path

_FLAGS = {"avx512_bf16", "amx_bf16"}


@cache
def multiplies_bfloat16() -> bool:
    """Whether this processor has instructions for bfloat16 products (Linux on x86-64 tells)."""
    information = Path("/proc/cpuinfo")
    if not information.exists():
        return False
    lines = information.read_text(encoding="utf-8", errors="replace").splitlines()
    return any(line.startswith("flags") and _FLAGS & set(line.split()) for line in lines)


def quick(device: str) -> AbstractContextManager[object]:
    """Matrix products in bfloat16 on processors with instructions for it, about twice as fast.

    Sums, norms and residuals stay in float32: DINOv2's patch tokens keep a cosine of at least 0.999
    with those of float32. Elsewhere nothing changes.
    """
    import torch

    enabled = torch.device(device).type == "cpu" and multiplies_bfloat16()
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled)
