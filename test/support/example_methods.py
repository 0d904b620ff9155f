"""The learning methods of ``examples/methods`` as modules, under the names that recipes give them."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "methods"
NAMES = ("vicreg", "barlow_twins", "swav")


def method_module(name: str) -> ModuleType:
    """One of NAMES, found as a recipe finds it: by its folder on the path."""
    if str(FOLDER) not in sys.path:
        sys.path.append(str(FOLDER))
    return importlib.import_module(name)
