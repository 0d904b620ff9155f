"""Number formats that this processor has instructions for, whether they are faster, and devices beside it."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Iterable
from functools import cache, partial
from pathlib import Path
from typing import Any

_BFLOAT16 = {"avx512_bf16", "amx_bf16", "bf16"}
_AMX = {"amx_bf16", "amx_int8"}
_FLOAT16 = {"asimdhp"}
_INT8 = {"avx512_vnni", "avx_vnni", "amx_int8", "asimddp"}
# Rows, inner and outer size of a vision transformer's products.
_PRODUCT = (576, 384, 1536)
# Images, heads, tokens and channels of a small one's attention.
_ATTENTION = (1, 6, 576, 64)
_CLEARLY_FASTER = 1.2
_INTEL = "0x8086"


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


def has_float16() -> bool:
    """Whether the processor has instructions for float16 products."""
    return bool(_FLOAT16 & _processor()[1])


def fast_formats() -> tuple[str, ...]:
    """Formats of products worth trying on this processor, the likely fastest first.

    Tiles (AMX) halve bfloat16's time once more, vector instructions gain most in 8 bits, and Arm's float16
    has twice float32's width. The last is always "fp32".
    """
    there = {"bf16": has_bfloat16(), "int8": has_int8(), "fp16": has_float16()}
    order: tuple[str, ...]
    if _AMX & _processor()[1]:
        order = ("bf16", "int8")  # float16 is slower than both there
    elif platform.machine() in ("aarch64", "arm64"):
        order = ("fp16", "bf16", "int8")
    else:
        order = ("int8", "bf16")
    return (*(name for name in order if there[name]), "fp32")


def has_intel_gpu(devices: Path = Path("/sys/class/drm")) -> bool:
    """Whether Linux knows a GPU of Intel's that computes. devices: where it lists them."""
    return _is_intels(devices.glob("renderD*/device/vendor"))


def has_npu(devices: Path = Path("/sys/class/accel")) -> bool:
    """Whether Linux knows an NPU of Intel's. devices: where it lists them."""
    return _is_intels(devices.glob("accel*/device/vendor"))


def _is_intels(files: Iterable[Path]) -> bool:
    for path in files:
        try:
            if path.read_text(encoding="utf-8", errors="replace").strip() == _INTEL:
                return True
        except OSError:
            continue  # a device that went meanwhile
    return False


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
        took[dtype] = _median_seconds(partial(torch.matmul, left, right))
    return took[torch.float32] > _CLEARLY_FASTER * took[torch.bfloat16]


@cache
def fused_attention_is_faster(dtype: Any) -> bool:
    """Measures whether torch's fused attention beats its products one by one on this processor.

    Args:
        dtype: of torch. In some versions and formats the fused one takes twice as long.
    """
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    query = torch.ones(_ATTENTION, dtype=dtype)

    def one_by_one() -> object:
        return (query @ query.transpose(-2, -1)).softmax(-1) @ query

    fused = partial(scaled_dot_product_attention, query, query, query)
    return _median_seconds(fused) < _median_seconds(one_by_one)


def _median_seconds(run: Callable[[], object]) -> float:
    samples = []
    for _ in range(12):
        began = time.perf_counter()
        run()
        samples.append(time.perf_counter() - began)
    return statistics.median(samples[2:])
