"""What the C library does with memory that was freed. Of no effect where it is not glibc."""

from __future__ import annotations

import contextlib
import ctypes
import os

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
# The most that glibc takes: larger blocks, such as weights, are given back to the system at once.
REUSED_BYTES = 32 << 20
KEPT_BYTES = 64 << 20
# Each arena keeps blocks of its own, and threads take turns in Python anyway.
ARENAS = 2


def reuse_large_blocks() -> None:
    """Lets blocks up to 32 MB, as images are, be used again instead of going back to the system.

    Otherwise every message of a few megabytes is a new mapping, and touching its pages for the first time
    costs several times what copying into it does. What the environment says already stays.
    """
    if "MALLOC_MMAP_THRESHOLD_" in os.environ or "MALLOC_TRIM_THRESHOLD_" in os.environ:
        return
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(_M_MMAP_THRESHOLD, REUSED_BYTES)
        libc.mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)
        libc.mallopt(_M_ARENA_MAX, ARENAS)


def release_memory() -> None:
    """Returns to the system what was freed and kept."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


class _Mallinfo2(ctypes.Structure):
    """As <malloc.h> has it."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks",
            "keepcost",
        )
    ]  # fmt: skip


def allocated_mb() -> float:
    """MB that are in use by malloc's account, without what it keeps; 0 where glibc is older than 2.33."""
    try:
        mallinfo2 = ctypes.CDLL("libc.so.6").mallinfo2
    except (OSError, AttributeError):
        return 0.0
    mallinfo2.restype = _Mallinfo2
    held = mallinfo2()
    return float(held.uordblks + held.hblkhd) / (1 << 20)
