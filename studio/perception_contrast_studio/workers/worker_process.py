"""The program of a worker: receives tasks over a pipe, runs them, answers. Ends with its parent."""

from __future__ import annotations

import importlib
import os
import signal
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.process.threads import settle_threads

Report = Callable[[float, str], None]
# The robot's nodes on the same machine go first.
NICENESS = 10


def run_worker(pipe: Connection) -> None:
    """Serves until the pipe is closed.

    A task is ``(name, arguments)`` with the name ``module:function``. The function is called with
    ``report(fraction, text)`` first. Answers are ``("progress", fraction, text)``, then one of
    ``("result", value)``, ``("refused", text)`` for an error that its message explains, and
    ``("failed", text)``.
    """
    # Ctrl-C in the terminal reaches the whole group; the server decides when its workers end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(NICENESS)
    settle_threads(patient=True)
    while True:
        try:
            name, arguments = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            pipe.send(_answer(name, arguments, pipe))
        except (BrokenPipeError, OSError):
            return


def _answer(name: str, arguments: dict[str, Any], pipe: Connection) -> tuple[Any, ...]:
    def report(fraction: float, text: str) -> None:
        pipe.send(("progress", float(fraction), text))

    module, _, function = name.partition(":")
    try:
        return ("result", getattr(importlib.import_module(module), function)(report, **arguments))
    except PerceptionError as error:
        return ("refused", str(error))
    except ModuleNotFoundError as error:
        return ("refused", f"the Python module '{error.name}' is not installed; run `make setup`")
    except MemoryError:
        return ("refused", "the machine has too little memory for this; choose less data")
    except (BrokenPipeError, EOFError):
        raise
    except Exception:
        return ("failed", traceback.format_exc())
