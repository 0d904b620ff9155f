"""A worker that is never done."""

from __future__ import annotations

import os
import time
from pathlib import Path


def busy(folder: str, number: int) -> None:
    """Says who it is, and works on until it is ended."""
    (Path(folder) / f"{number}.pid").write_text(str(os.getpid()))
    while True:
        time.sleep(0.05)
