"""Blocks of an image's size are used again; what was freed can be given back."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone")
PROGRAM = """
import resource, sys
import numpy as np
from perception_contrast.core.allocator import release_memory, reuse_large_blocks
if sys.argv[1] == "reuse":
    reuse_large_blocks()
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
np.ones(6_000_000, np.uint8)
before = faults()
for _ in range(50):
    np.ones(6_000_000, np.uint8), np.ones(6_000_000, np.uint8)
print(faults() - before)
pages = lambda: int(open("/proc/self/statm").read().split()[1])
held = [np.ones(20_000_000, np.uint8) for _ in range(2)]
del held
full = pages()
release_memory()
print(full - pages())
"""


def counts(how: str, **environment: str) -> list[int]:
    """Page faults of a hundred arrays of 6 MB, and pages that went back to the system at the end."""
    command = [sys.executable, "-c", PROGRAM, how]
    said = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=True
    ).stdout
    return [int(line) for line in said.split()]


@glibc
def test_memory_of_images_is_touched_for_the_first_time_once_and_can_be_given_back() -> None:
    (kept, back), (plain, _) = counts("reuse"), counts("plain")
    assert kept < 4 * 6_000_000 / 4096 and plain > 10 * kept
    assert back * 4096 > 30_000_000


@glibc
def test_what_the_environment_says_stays() -> None:
    faults, _ = counts("reuse", MALLOC_MMAP_THRESHOLD_="131072")
    assert faults > 5 * counts("reuse")[0]
