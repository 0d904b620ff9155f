"""What a process does with memory that it needs no more. Of no effect where the C library is not glibc."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
# The most that glibc takes: larger blocks, such as weights, are given back to the system at once.
REUSED_BYTES = 32 << 20
KEPT_BYTES = 64 << 20
# Each arena keeps blocks of its own, and threads take turns in Python anyway.
ARENAS = 2
_MADV_DONTNEED = 4
WEIGHTS = ".safetensors"  # what files end with whose mapped pages nobody writes


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
    """Returns to the system what was freed and kept, and unmaps what files hold unchanged.

    The start of a process touches several hundred megabytes of its libraries once, and the weights in
    torch's format are not read while another engine serves. Such pages stay in the system's cache, from
    which those that are still needed come back as they are touched.
    """
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.malloc_trim(0)
        for start, size in list(_unchanged_pages()):
            libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), _MADV_DONTNEED)


class _Mapping(NamedTuple):
    """Start and size in bytes, permissions and path as of /proc/self/maps, kB that differ from the file.

    What differs may be resident or swapped out.
    """

    start: int
    size: int
    permissions: str
    path: str
    changed: int


def _unchanged_pages() -> Iterator[tuple[int, int]]:
    """Start and size of what is mapped of files and holds nothing but what is in them."""
    for one in _mappings():
        # Code and constants, which nobody can write. Weights could be written, and are not.
        constant = "w" not in one.permissions or one.path.endswith(WEIGHTS)
        if constant and one.permissions.endswith("p") and one.path.startswith("/") and not one.changed:
            yield one.start, one.size


def _mappings() -> Iterator[_Mapping]:
    head: list[str] = []
    changed = 0
    with Path("/proc/self/smaps").open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            words = line.split(maxsplit=5)
            if words[0] in ("Anonymous:", "Swap:"):
                changed += int(words[1])
            elif not words[0].endswith(":"):
                yield from _mapping(head, changed)
                head, changed = words, 0
    yield from _mapping(head, changed)


def _mapping(head: list[str], changed: int) -> Iterator[_Mapping]:
    if len(head) == 6:
        first, last = (int(side, 16) for side in head[0].split("-"))
        yield _Mapping(first, last - first, head[1], head[5].rstrip("\n"), changed)


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
