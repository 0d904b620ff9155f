"""A quiet end for a process that is told to stop while it still imports."""

from __future__ import annotations

import os
import signal

EXIT_INTERRUPTED = 130


def exit_on_signals() -> None:
    """Ends the process with exit code 0 on SIGINT and SIGTERM, until ``run_node`` sets its own handlers.

    To be called by the first lines of a program, before the imports that take seconds: an interrupted
    import would print a traceback and end with another exit code.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(0))


def interrupt_quietly() -> None:
    """Ends a command with "interrupted" and exit code 130 on Ctrl-C, until ``interrupt_as_usual``.

    To be called before the imports that take seconds: one that is interrupted prints a traceback, or turns
    the interrupt into an error of its own.
    """
    signal.signal(signal.SIGINT, _interrupted)


def interrupt_as_usual() -> None:
    """Lets Ctrl-C raise KeyboardInterrupt again, where ``interrupt_quietly`` is in force."""
    if signal.getsignal(signal.SIGINT) is _interrupted:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _interrupted(*_: object) -> None:
    os.write(2, b"interrupted\n")
    os._exit(EXIT_INTERRUPTED)
