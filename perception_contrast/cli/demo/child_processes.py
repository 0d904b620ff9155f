"""Child processes that never outlive their parent and whose last output lines are kept."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType

_PR_SET_PDEATHSIG = 1  # prctl(2), Linux
_KEPT_LINES = 60


def _die_with_parent() -> Callable[[], None] | None:
    """What a child runs before it becomes its program: be killed when the parent dies (Linux only)."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def set_signal() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # the parent died before prctl took effect
            os._exit(1)

    return set_signal


class Child:
    """A program in its own process group, so that Ctrl-C reaches the parent alone; a thread reads its output.

    Start it from the main thread: Linux sends the death signal when the *thread* that forked ends.
    """

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.name = name
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._unread: deque[str] = deque(maxlen=_KEPT_LINES)
        self._process = subprocess.Popen(
            list(command),
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with_parent(),
        )
        self._reader = threading.Thread(target=self._read, name=f"{name} output", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for raw in self._process.stdout:
            line = raw.decode(errors="replace").rstrip()
            if line:
                self._lines.append(line)
                self._unread.append(line)

    @property
    def pid(self) -> int:
        return self._process.pid

    def exit_code(self) -> int | None:
        """None while it runs; negative for the signal that ended it."""
        return self._process.poll()

    def new_lines(self) -> list[str]:
        """Output lines since the last call."""
        lines = []
        while self._unread:
            lines.append(self._unread.popleft())
        return lines

    def last_lines(self, count: int) -> list[str]:
        """The newest output lines, oldest first."""
        self._reader.join(timeout=0.5 if self.exit_code() is not None else 0.0)
        return list(self._lines)[-count:]

    def send(self, number: signal.Signals) -> None:
        """Signals the whole group; a group that is gone is no error."""
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return

    def wait(self, timeout: float) -> bool:
        """True once it has ended."""
        try:
            self._process.wait(timeout=max(timeout, 0.0))
        except subprocess.TimeoutExpired:
            return False
        return True


class Children:
    """Several children, stopped together when the context is left."""

    def __init__(self, *, patience: float = 5.0) -> None:
        self._children: list[Child] = []
        self._patience = patience

    def __enter__(self) -> Children:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __iter__(self) -> Iterator[Child]:
        return iter(self._children)

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> Child:
        child = Child(name, command, environment)
        self._children.append(child)
        return child

    def ended(self) -> Child | None:
        """The first child that is no longer running."""
        return next((child for child in self._children if child.exit_code() is not None), None)

    def stop(self) -> None:
        """SIGINT, then SIGTERM, then SIGKILL, to whole groups, with ``patience`` seconds in between."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            for child in self._children:
                child.send(number)
            deadline = time.monotonic() + self._patience
            if all([child.wait(deadline - time.monotonic()) for child in self._children]):
                break
        for child in self._children:
            child.send(signal.SIGKILL)  # grandchildren of a group whose leader left politely
