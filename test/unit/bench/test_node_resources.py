"""What a process takes of its machine."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.ros
pytest.importorskip("rclpy")

from perception_contrast.bench.node_resources import memory_of  # noqa: E402
from perception_contrast.core.errors import PerceptionError  # noqa: E402
from perception_contrast.core.process.processor_time import processor_seconds  # noqa: E402

HELD_MB = 40
HOLDER = f"held = bytearray(b'x') * ({HELD_MB} << 20); print(flush=True); input()"


def test_memory_of_another_process_is_what_it_holds() -> None:
    words = [sys.executable, "-c", HOLDER]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        found = memory_of(process.pid)
        process.kill()
    assert HELD_MB < found["anonymous_mb"] < HELD_MB + 30
    assert found["anonymous_mb"] <= found["resident_mb"]
    assert found["proportional_mb"] <= found["resident_mb"]


def test_a_process_that_is_not_there_is_told() -> None:
    with pytest.raises(PerceptionError, match="cannot be read"):
        memory_of(2**22 + 1)


def test_processor_time_is_that_of_the_process() -> None:
    before, own = processor_seconds(os.getpid()), time.process_time()
    while time.process_time() - own < 0.3:
        pass
    assert processor_seconds(os.getpid()) - before == pytest.approx(0.3, abs=0.1)
