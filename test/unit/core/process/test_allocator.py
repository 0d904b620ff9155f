"""Freed blocks of an image's size, and pages of files, stay with the process until they are released."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone")
IMAGE_MB = 20
PROGRAM = f"""
import os, sys
import numpy as np
from perception_contrast.core.process.allocator import release_memory, reuse_large_blocks

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


MAPPED = """
import mmap, os, sys
from perception_contrast.core.process.allocator import release_memory

def resident(path):
    found = 0
    for line in open("/proc/self/smaps"):
        words = line.split()
        if not words[0].endswith(":"):
            here = line.rstrip().endswith(path)
        elif here and words[0] == "Rss:":
            found += int(words[1])
    return found

path, change = sys.argv[1], sys.argv[2] == "change"
with open(path, "r+b") as file:
    held = mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
if change:
    held[0] = 7
touched = held[:]
print(resident(path))
release_memory()
print(resident(path))
print(int(held[:] == touched))
"""


def mapped_kb(path: Path, how: str) -> list[int]:
    """Resident kB of a mapped file, the same after ``release_memory``, and 1 if it reads as before."""
    done = subprocess.run(
        [sys.executable, "-c", MAPPED, str(path), how], capture_output=True, text=True, check=True
    )
    return [int(line) for line in done.stdout.split()]


def test_pages_of_weights_are_given_back_and_come_back_alike(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(bytes(range(256)) * 4096)
    assert mapped_kb(path, "read") == [1024, 0, 1]


def test_pages_that_differ_from_their_file_stay(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(bytes(range(256)) * 4096)
    assert mapped_kb(path, "change") == [1024, 1024, 1]
    assert path.read_bytes()[0] == 0


def test_pages_of_other_files_that_may_be_written_stay(tmp_path: Path) -> None:
    path = tmp_path / "other.bin"
    path.write_bytes(bytes(range(256)) * 4096)
    assert mapped_kb(path, "read") == [1024, 1024, 1]
