"""Workers end with the process that they work for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PARENT = """
import time
from pathlib import Path
from perception_contrast_training.data.loading.workers import worker_pool
import busy_worker
if __name__ == "__main__":
    pool = worker_pool(2)
    for number in range(2):
        pool.submit(busy_worker.busy, {folder!r}, number)
    time.sleep(120)
"""


def _until(done: object, seconds: float = 60.0) -> bool:
    assert callable(done)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if done():
            return True
        time.sleep(0.1)
    return False


def _runs(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
def test_workers_do_not_outlive_the_process_that_began_them(tmp_path: Path, ending: signal.Signals) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT.format(folder=str(tmp_path)))
    here = os.pathsep.join(
        [str(Path(__file__).resolve().parents[3] / "support"), os.environ.get("PYTHONPATH", "")]
    )
    parent = subprocess.Popen([sys.executable, str(script)], env={**os.environ, "PYTHONPATH": here})
    try:
        notes = [tmp_path / f"{number}.pid" for number in range(2)]
        assert _until(lambda: all(note.is_file() and note.read_text() for note in notes))
        workers = [int(note.read_text()) for note in notes]
        assert all(_runs(worker) for worker in workers)
        parent.send_signal(ending)
        parent.wait(10)
        assert _until(lambda: not any(_runs(worker) for worker in workers), 20.0)
    finally:
        parent.kill()
