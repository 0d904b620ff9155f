"""A program that is told to stop in the midst of its imports."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

HANDLER = "perception_contrast.core.process.early_exit"


def interrupted_imports(program: Sequence[str], number: int, imports: int) -> tuple[int, list[str]]:
    """Sends a signal after some imports behind that of the handler.

    Python tells each import when it is done, so the signal comes in the midst of them on any machine.

    Args:
        program: Arguments of Python.
        number: Of the signal.
        imports: How many.

    Returns:
        The exit code, and the lines that are told beside the imports.
    """
    process = subprocess.Popen(
        [sys.executable, "-X", "importtime", *program], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    told, handled = [], False
    for line in process.stderr:
        told.append(line)
        handled = handled or line.split("|")[-1].strip() == HANDLER
        imports -= handled
        if imports < 0:
            process.send_signal(number)
            break
    told += process.stderr.read().splitlines(keepends=True)
    return process.wait(60), [line for line in told if not line.startswith("import time:")]
