"""The package's own commands, started by a page: in sessions of their own, so that neither ends the other."""

from __future__ import annotations

import os
import secrets
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from perception_contrast.core.cache import cache_dir
from perception_contrast.core.errors import PerceptionError
from perception_contrast_studio.server.studio_page import Studio

PROGRAM = "perception-contrast"
MODULE = "perception_contrast.cli.main"
SHOWN_BYTES = 16 << 10
MOST_KEPT = 20


def command_line(arguments: Sequence[str]) -> str:
    """As it is typed into a shell."""
    return shlex.join([PROGRAM, *arguments])


@dataclass
class Command:
    """A command that was started.

    Attributes:
        about: What it works on, such as a run's folder.
        arguments: Behind ``perception-contrast``.
        output: File that holds what it says.
        began: Unix seconds.
    """

    about: str
    arguments: tuple[str, ...]
    output: Path
    process: subprocess.Popen[bytes]
    began: float = field(default_factory=time.time)

    @property
    def line(self) -> str:
        """As it is typed into a shell."""
        return command_line(self.arguments)

    @property
    def code(self) -> int | None:
        """Exit code, None while it runs."""
        return self.process.poll()

    def tail(self) -> str:
        """The end of what it said; blocks for the time of reading."""
        try:
            with self.output.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - SHOWN_BYTES))
                data = file.read(SHOWN_BYTES)
        except OSError as error:
            return f"the output '{self.output}' cannot be read: {error}"
        text = data.decode("utf-8", "replace").replace("\r", "\n")
        return text if size <= SHOWN_BYTES else "...\n" + text.partition("\n")[2]

    def interrupt(self) -> None:
        """As Ctrl-C in its terminal."""
        if self.code is None:
            self.process.send_signal(signal.SIGINT)


class CommandRunner:
    """Starts commands and remembers the newest; they go on when the studio ends.

    Args:
        folder: Of their outputs.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[Command] = []

    def start(self, about: str, arguments: Sequence[str]) -> Command:
        """Starts ``perception-contrast ARGUMENTS``.

        Args:
            about: What it works on; one command at a time may.
            arguments: Passed as they are, without a shell.

        Raises:
            PerceptionError: One works on that already, or it cannot be started.
        """
        running = self.of(about)
        if running is not None and running.code is None:
            raise PerceptionError(f"`{running.line}` still runs; wait for it, or stop it")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            output = self._folder / f"{int(time.time())}_{secrets.token_hex(4)}.log"
            with output.open("wb") as file:
                process = subprocess.Popen(
                    [sys.executable, "-m", MODULE, *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except OSError as error:
            raise PerceptionError(f"`{command_line(arguments)}` cannot be started: {error}") from error
        command = Command(about, tuple(arguments), output, process)
        self._started.append(command)
        self._forget_old()
        return command

    def of(self, about: str) -> Command | None:
        """The newest command that works, or worked, on something."""
        return next((one for one in reversed(self._started) if one.about == about), None)

    def _forget_old(self) -> None:
        ended = [one for one in self._started if one.code is not None]
        for one in ended[: max(0, len(self._started) - MOST_KEPT)]:
            self._started.remove(one)
            one.output.unlink(missing_ok=True)


def command_runner(studio: Studio) -> CommandRunner:
    """The one of a studio."""
    found = studio.notes.get("command_runner")
    if not isinstance(found, CommandRunner):
        found = studio.notes["command_runner"] = CommandRunner(cache_dir() / "studio" / "commands")
    return found


def stop_process(pid: int) -> None:
    """Asks a training process to save and end (SIGTERM).

    Raises:
        PerceptionError: It is gone, or belongs to somebody else.
    """
    # 0 and negative numbers are groups of processes.
    if pid <= 1:
        raise PerceptionError("the run has no process on this machine any more")
    try:
        os.kill(pid, signal.SIGTERM)
    except OSError as error:
        raise PerceptionError(f"process {pid} cannot be stopped: {error.strerror}") from error
