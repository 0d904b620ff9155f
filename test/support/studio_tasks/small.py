"""Tasks that answer, refuse, fail and die."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from perception_contrast.core.errors import PerceptionError

Report = Callable[[float, str], None]


def count(report: Report, steps: int) -> int:
    for step in range(1, steps + 1):
        report(step / steps, f"step {step}")
    return os.getpid()


def add(report: Report, left: int, right: int) -> int:
    return left + right


def sleep(report: Report, seconds: float) -> None:
    time.sleep(seconds)


def refuse(report: Report) -> None:
    raise PerceptionError("nothing is here; choose another folder")


def fail(report: Report) -> None:
    raise ZeroDivisionError("by zero")


def die(report: Report) -> None:
    os._exit(3)
