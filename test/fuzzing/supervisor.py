"""Worker processes under a watchdog: a hang or a crash ends one of them and is told by its input."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fuzzing.worker import CURRENT, CURRENT_BYTES

HANG_SECONDS = 10.0
"""Of processor time, the most that one input may take."""

IDLE_SECONDS = 30.0
"""That an input may wait for something else than a processor; a busy machine lets all wait for one."""

_OPENING_SECONDS = 300.0
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Finding:
    """An input that came to something else than a documented end.

    Attributes:
        target: Name.
        kind: Name of the error, "hang", "crash", or "memory".
        place: What is the same for inputs with the same cause.
        detail: Traceback, for people.
        data: The input.
    """

    target: str
    kind: str
    place: str
    detail: str
    data: bytes


class WorkerProcess:
    """One worker; begun anew after it was ended. Close it in the end.

    Args:
        hang_seconds: Of processor time that one input may take.
    """

    def __init__(self, hang_seconds: float = HANG_SECONDS) -> None:
        self._hang_seconds = hang_seconds
        self._folder = Path(tempfile.mkdtemp(prefix="fuzzing_", dir=_fast_disk()))
        self._process: subprocess.Popen[bytes] | None = None
        self._answers = -1

    def run(self, order: dict[str, Any]) -> tuple[dict[str, Any], list[Finding]]:
        """The answer to an order, and what was found. The answer is empty if the worker had to be ended."""
        if self._process is None:
            self._start()
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        answer, reason = self._answer()
        if answer is None:
            data, detail = self._input(), self._messages()
            self.close_process()
            place = _last_place(detail)
            return {}, [Finding(order["target"], reason, f"{reason}{place}", detail, data)]
        return answer, [
            Finding(
                order["target"], one["kind"], one["finding"], one["detail"], base64.b64decode(one["input"])
            )
            for one in answer["findings"]
        ]

    def _start(self) -> None:
        scratch = self._folder / "scratch"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        (self._folder / "current").write_bytes(bytes(CURRENT_BYTES))
        reading, writing = os.pipe()
        # Descriptor 3 is where the worker answers; what libraries print goes to a file.
        command = 'exec 3>&"$0" "$@"'
        with (self._folder / "messages").open("ab") as messages:
            self._process = subprocess.Popen(
                ["bash", "-c", command, str(writing), sys.executable, "-m", "fuzzing.worker",
                 str(self._folder / "current"), str(scratch)],
                stdin=subprocess.PIPE,
                stdout=messages,
                stderr=messages,
                pass_fds=(writing,),
                start_new_session=True,  # an interrupt is for the supervisor, which lets slices end
                # A test runner has folders in its path that the environment does not name.
                env=os.environ | _ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )  # fmt: skip
        os.close(writing)
        self._answers = reading

    def _answer(self) -> tuple[dict[str, Any] | None, str]:
        """The worker's answer, or why there is none: "hang" or "crash"."""
        assert self._process is not None
        text, watch = b"", _Watch(self._process.pid, self._hang_seconds)
        while True:
            ready, _, _ = select.select([self._answers], [], [], 0.5)
            if ready:
                part = os.read(self._answers, 1 << 20)
                text += part
                if text.endswith(b"\n"):
                    return json.loads(text), ""
                if not part:
                    return None, "crash"
            elif watch.is_stuck(self._began()):
                self._process.send_signal(signal.SIGUSR1)
                time.sleep(1.0)
                return None, "hang"

    def _began(self) -> float:
        with (self._folder / "current").open("rb") as file:
            return float(CURRENT.unpack(file.read(CURRENT.size))[0])

    def _input(self) -> bytes:
        held = (self._folder / "current").read_bytes()
        _, length = CURRENT.unpack_from(held)
        return held[CURRENT.size : CURRENT.size + length]

    def _messages(self) -> str:
        """The end of what the worker printed, which holds the stacks of its threads."""
        return (self._folder / "messages").read_text("utf-8", "replace")[-6000:]

    def close_process(self) -> None:
        """Ends the process; the next order starts another."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdin is not None
            self._process.stdin.close()
            os.close(self._answers)
            self._process = None

    def close(self) -> None:
        """Ends the process and removes its files."""
        self.close_process()
        shutil.rmtree(self._folder, ignore_errors=True)


_ENVIRONMENT = {"OPENCV_LOG_LEVEL": "OFF", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


@dataclass(frozen=True)
class _Times:
    """Seconds: by the clock, of processor time, and that the main thread ran or waited to run."""

    clock: float
    used: float
    busy: float


class _Watch:
    """Knows what the input at hand has taken."""

    def __init__(self, process: int, hang_seconds: float) -> None:
        self._process, self._hang_seconds = Path(f"/proc/{process}"), hang_seconds
        self._began, self._first = -1.0, _Times(0.0, 0.0, 0.0)

    def is_stuck(self, began: float) -> bool:
        """began: when the input at hand began, 0 for none, as time.monotonic."""
        now = self._times()
        if began != self._began:
            self._began, self._first = began, now
        idle = now.clock - self._first.clock - (now.busy - self._first.busy)
        if began == 0.0:
            return idle > _OPENING_SECONDS
        return now.used - self._first.used > self._hang_seconds or idle > IDLE_SECONDS

    def _times(self) -> _Times:
        try:
            fields = (self._process / "stat").read_text().rpartition(")")[2].split()
            ran, waited, _ = (self._process / "schedstat").read_text().split()
        except OSError:
            return _Times(time.monotonic(), 0.0, 0.0)
        used = (int(fields[11]) + int(fields[12])) / _TICKS
        return _Times(time.monotonic(), used, (int(ran) + int(waited)) / 1e9)


def _fast_disk() -> str | None:
    shared = Path("/dev/shm")
    return str(shared) if shared.is_dir() and os.access(shared, os.W_OK) else None


def _last_place(detail: str) -> str:
    """Where our own code stood, by faulthandler's stacks."""
    for line in detail.splitlines():
        if "/perception_contrast" in line and "File" in line:
            return " in " + line.strip().removeprefix("File ").replace('"', "").rpartition("/")[2]
    return ""
