"""Freed blocks of an image's size stay with the process until they are released to the system."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone")
IMAGE_MB = 20
PROGRAM = f"""
import os, sys
import numpy as np
from perception_contrast.core.allocator import release_memory, reuse_large_blocks

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

if sys.argv[1] == "reuse":
    reuse_large_blocks()
start = resident()
images = [np.ones({IMAGE_MB} * 10**6, np.uint8) for _ in range(2)]
print(resident() - start)
del images
print(resident() - start)
release_memory()
print(resident() - start)
"""


def resident_mb(how: str, **environment: str) -> list[float]:
    """Resident memory with two images, after they were freed, and after ``release_memory``, in MB."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, how],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return [float(line) for line in done.stdout.split()]


def test_freed_images_stay_with_the_process_until_they_are_released() -> None:
    held, freed, released = resident_mb("reuse")
    assert held == pytest.approx(2 * IMAGE_MB, abs=5)
    assert freed > held - 5
    assert released < 5


def test_without_it_freed_images_go_back_to_the_system_at_once() -> None:
    held, freed, _ = resident_mb("plain")
    assert held == pytest.approx(2 * IMAGE_MB, abs=5) and freed < 5


def test_settings_of_the_environment_are_left_alone() -> None:
    _, freed, _ = resident_mb("reuse", MALLOC_MMAP_THRESHOLD_="131072")
    assert freed < 5
